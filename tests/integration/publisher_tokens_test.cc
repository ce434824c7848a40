#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/support/bridge_process.h"
#include "tests/support/http_origin.h"
#include "tests/support/publisher.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tokens.h"

#include "bridge/auth/token_minter.h"

namespace bridge::test {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kSecret[] = "a secret for tests that is at least 32 bytes long";

struct Who {
  std::string subject;
  std::string issuer;
};

std::string Token(const std::vector<std::string>& publish, absl::Duration ttl = absl::Hours(1), const Who& who = {},
                  const char* secret = kSecret) {
  const auth::TokenMinter minter(SecretSigner(secret));
  return minter
      .Mint({.subject = who.subject, .issuer = who.issuer, .audience = "", .subscribe = {}, .publish = publish}, ttl,
            absl::Now())
      .value();
}

class PublisherTokens : public ::testing::Test {
 protected:
  explicit PublisherTokens(const std::vector<std::string>& more = {"auth.anonymous.publish=[open.>]"}) {
    const std::string path = directory_.path() + "/secret";
    std::ofstream(path) << kSecret << "\n";
    std::vector<std::string> settings = {absl::StrCat("auth.jwt.keys=[{algorithm: HS256, secret_file: ", path, "}]")};
    settings.insert(settings.end(), more.begin(), more.end());
    bridge_ = std::make_unique<BridgeProcess>(settings);
    publisher_ = std::make_unique<Publisher>(bridge_->grpc_target());
  }

  grpc::Status TryOnce(const std::string& topic) {
    v1::PublishRequest request;
    *request.add_events() = TextEvent(topic, "x");
    v1::Ack ack;
    return publisher_->TryPublish(request, &ack);
  }
  grpc::Status StreamWith(const std::string& topic) {
    PublishCall call(publisher_.get());
    call.Send("1", {TextEvent(topic, "x")});
    call.HalfClose();
    return call.Finish();
  }
  // For a call and a stream.
  void ExpectRefused(const std::string& topic, const std::string& message) {
    for (const grpc::Status& status : {TryOnce(topic), StreamWith(topic)}) {
      EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
      EXPECT_THAT(status.error_message(), HasSubstr(message));
    }
  }
  double Refused(const std::string& reason) const {
    return bridge_->Metric(absl::StrCat("sse_bridge_publishers_refused_total{reason=\"", reason, "\"}"));
  }

  const TempDir directory_;
  std::unique_ptr<BridgeProcess> bridge_;
  std::unique_ptr<Publisher> publisher_;
};

TEST_F(PublisherTokens, SayWhatTheirHolderMayPublish) {
  publisher_->SetToken(Token({"orders.>"}));
  EXPECT_TRUE(publisher_->Publish(TextEvent("orders.eu", "x")).rejected().empty());
  PublishCall call(publisher_.get());
  ASSERT_TRUE(call.Send("1", {TextEvent("orders.eu", "1"), TextEvent("prices.eu", "2"), TextEvent("orders.us", "3")}));
  const auto ack = call.NextAck();
  ASSERT_TRUE(ack);
  ASSERT_EQ(ack->rejected_size(), 1);
  EXPECT_EQ(ack->rejected(0).index(), 1U);
  EXPECT_EQ(ack->rejected(0).code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(ack->rejected(0).message(), HasSubstr("topic \"prices.eu\""));
  EXPECT_NE(ack->first_id(), ack->last_id());
  // The stream goes on.
  ASSERT_TRUE(call.Send("2", {TextEvent("orders.eu", "4")}));
  EXPECT_TRUE(call.NextAck()->rejected().empty());
  // What is open to everybody is not open to the holder of a token that does not list it.
  EXPECT_EQ(publisher_->Publish(TextEvent("open.a", "x")).rejected(0).code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(bridge_->Metric("sse_bridge_events_rejected_total{code=\"PERMISSION_DENIED\"}"), 2);
}

TEST_F(PublisherTokens, AreNotNeededForWhatIsOpenToEverybody) {
  EXPECT_TRUE(publisher_->Publish(TextEvent("open.a", "x")).rejected().empty());
  ExpectRefused("orders.eu", "topic \"orders.eu\": not everybody may publish on it; send a token as metadata");
  EXPECT_EQ(Refused("unauthenticated"), 2);

  PublishCall call(publisher_.get());
  ASSERT_TRUE(call.Send("1", {TextEvent("open.a", "x")}));
  ASSERT_TRUE(call.Send("2", {TextEvent("open.a", "x"), TextEvent("orders.eu", "x")}));
  // What came before it is acked; of its own request nothing is published.
  EXPECT_EQ(call.NextAck()->request_id(), "1");
  EXPECT_FALSE(call.NextAck());
  EXPECT_EQ(call.Finish().error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(bridge_->Metric("sse_bridge_events_accepted_total"), 2);
}

TEST_F(PublisherTokens, ThatAreBadEndTheStreamAlsoForWhatIsOpenToEverybody) {
  const std::string good = Token({">"});
  publisher_->SetToken(good + "x");
  ExpectRefused("open.a", "call again with a good token");
  publisher_->SetToken(Token({">"}, absl::Hours(1), {}, "another secret that is at least 32 bytes long"));
  ExpectRefused("open.a", "signature");
  publisher_->SetToken(std::string(9000, 'x'));
  ExpectRefused("open.a", "8192");
  for (const std::string& value : {std::string("Bearer"), "Basic " + good, good, std::string("Bearer  ")}) {
    publisher_->SetAuthorization(value);
    ExpectRefused("open.a", "");
  }
  publisher_->SetAuthorization("bearer  " + good);  // the scheme's name has no case
  EXPECT_TRUE(TryOnce("orders.eu").ok());
}

TEST_F(PublisherTokens, ThatExpireEndTheStreamAfterItsAcks) {
  publisher_->SetToken(Token({">"}, absl::Seconds(2)));
  PublishCall call(publisher_.get());
  int sent = 0;
  while (call.Send(absl::StrCat(sent), {TextEvent("a", "x")})) {
    ++sent;
    absl::SleepFor(absl::Milliseconds(20));  // the rate at which it publishes
    ASSERT_LT(sent, 1000);
  }
  int acked = 0;
  while (const auto ack = call.NextAck()) {
    EXPECT_EQ(ack->request_id(), absl::StrCat(acked));
    EXPECT_TRUE(ack->rejected().empty());
    ++acked;
  }
  const grpc::Status status = call.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_THAT(status.error_message(), HasSubstr("the token has expired; reconnect with a new one"));
  EXPECT_GT(acked, 40);
  EXPECT_EQ(bridge_->Metric("sse_bridge_events_accepted_total"), acked);
  EXPECT_EQ(Refused("expired"), 1);
}

TEST_F(PublisherTokens, OfOneSubjectAndIssuerShareTheirIdempotencyKeys) {
  v1::Event event = TextEvent("open.a", "x");
  event.set_idempotency_key("k");
  std::vector<std::string> ids;
  const auto publish_as = [&](const Who& who, absl::Duration ttl) {
    publisher_->SetToken(Token({">"}, ttl, who));
    return publisher_->Publish(event).first_id();
  };
  const std::string first = publish_as({.subject = "shop", .issuer = ""}, absl::Hours(1));
  EXPECT_EQ(publish_as({.subject = "shop", .issuer = ""}, absl::Hours(2)), first);
  const std::vector<Who> others = {{.subject = "shop", .issuer = "https://a.example"},
                                   {.subject = "shop2", .issuer = ""},
                                   {.subject = "", .issuer = "shop"},
                                   {.subject = ":shop", .issuer = ""},
                                   {.subject = "", .issuer = ""}};
  ids.push_back(first);
  for (const Who& who : others) {
    const std::string id = publish_as(who, absl::Hours(1));
    EXPECT_THAT(ids, Not(Contains(id))) << who.issuer << " " << who.subject;
    ids.push_back(id);
  }
  publisher_->SetToken("");
  EXPECT_THAT(ids, Not(Contains(publisher_->Publish(event).first_id())));
}

class NothingIsOpen : public PublisherTokens {
 protected:
  NothingIsOpen() : PublisherTokens({}) {}
};

TEST_F(NothingIsOpen, WhoHasNoTokenIsToldSoAtOnce) {
  PublishCall call(publisher_.get());
  const grpc::Status status = call.Finish();  // it has sent nothing
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_THAT(status.error_message(), HasSubstr("authorization: Bearer TOKEN"));
  EXPECT_THAT(bridge_->Log(), AllOf(HasSubstr("publisher_refused"), HasSubstr("peer=")));
}

TEST(PublisherTokensOfAUrl, WhoseKeysAreNotThereYetAreAPassingRefusal) {
  const HttpOrigin origin([](int /*fd*/, const std::atomic<bool>& is_stopping) {
    while (!is_stopping) {
      absl::SleepFor(absl::Milliseconds(10));  // it hangs
    }
  });
  const BridgeProcess bridge({"auth.jwt.jwks_url=" + origin.url()});
  Publisher publisher(bridge.grpc_target());
  publisher.SetToken(Token({">"}));
  PublishCall call(&publisher);
  const grpc::Status status = call.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), HasSubstr("try again"));
  EXPECT_EQ(bridge.Metric("sse_bridge_publishers_refused_total{reason=\"key_not_there\"}"), 1);
}

TEST(PublisherTokensWithoutKeys, AreNotLookedAt) {
  const BridgeProcess bridge;
  Publisher publisher(bridge.grpc_target());
  publisher.SetToken("whatever");
  EXPECT_TRUE(publisher.Publish(TextEvent("a", "x")).rejected().empty());
}

}  // namespace
}  // namespace bridge::test
