#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/bridge_process.h"
#include "tests/support/publisher.h"
#include "tests/support/sse_client.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tokens.h"

#include "bridge/auth/token_minter.h"

namespace bridge::test {
namespace {

using ::testing::HasSubstr;

constexpr char kLimited[] = "sse_bridge_publishers_rate_limited_total";

TEST(PublishLimits, AStreamIsReadMoreSlowlyAndKeepsItsOrder) {
  const BridgeProcess bridge({"limits.publish_events_per_second=100"});
  Publisher publisher(bridge.grpc_target());
  PublishCall call(&publisher);
  const absl::Time start = absl::Now();
  for (int i = 0; i < 30; ++i) {
    ASSERT_TRUE(call.Send(absl::StrCat(i), std::vector<v1::Event>(10, TextEvent("a", "x"))));
  }
  call.HalfClose();
  for (int i = 0; i < 30; ++i) {
    const auto ack = call.NextAck();
    ASSERT_TRUE(ack);
    EXPECT_EQ(ack->request_id(), absl::StrCat(i));
    EXPECT_TRUE(ack->rejected().empty());
  }
  EXPECT_TRUE(call.Finish().ok());
  // A second's worth at once, the rest at its rate.
  EXPECT_GT(absl::Now() - start, absl::Milliseconds(1700));
  EXPECT_GT(bridge.Metric(kLimited), 0);
  EXPECT_THAT(bridge.Log(), HasSubstr("publish_rate_limited"));
}

TEST(PublishLimits, PublishOnceIsRejectedWithTheTimeToWait) {
  const BridgeProcess bridge({"limits.publish_bytes_per_second=1000"});
  Publisher publisher(bridge.grpc_target());
  EXPECT_TRUE(publisher.Publish(TextEvent("a", std::string(3000, 'x'))).rejected().empty());
  const v1::Ack ack = publisher.Publish({TextEvent("bad topic", "x"), TextEvent("a", "x")});
  ASSERT_EQ(ack.rejected_size(), 2);
  EXPECT_EQ(ack.rejected(0).code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_FALSE(ack.rejected(0).has_retry_after());
  EXPECT_EQ(ack.rejected(1).code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(ack.rejected(1).message(), HasSubstr("limits.publish_bytes_per_second"));
  EXPECT_GE(ack.rejected(1).retry_after().seconds(), 1);
  EXPECT_LE(ack.rejected(1).retry_after().seconds(), 3);
  EXPECT_EQ(bridge.Metric(kLimited), 1);
}

TEST(PublishLimits, AreEachPublishersOwn) {
  const TempDir directory;
  const std::string secret = "a secret for tests that is at least 32 bytes long";
  std::ofstream(directory.path() + "/secret") << secret;
  const BridgeProcess bridge(
      {absl::StrCat("auth.jwt.keys=[{algorithm: HS256, secret_file: ", directory.path(), "/secret}]"),
       "limits.publish_events_per_second=1"});
  const auth::TokenMinter minter(SecretSigner(secret));
  const auto publish_as = [&](const std::string& subject) {
    auth::TokenContents contents;
    contents.subject = subject;
    contents.publish = {">"};
    Publisher publisher(bridge.grpc_target());
    publisher.SetToken(minter.Mint(contents, absl::Hours(1), absl::Now()).value());
    return publisher.Publish(std::vector<v1::Event>(100, TextEvent("a", "x"))).rejected_size();
  };
  EXPECT_EQ(publish_as("a"), 0);
  EXPECT_EQ(publish_as("a"), 100) << "also over another call";
  EXPECT_EQ(publish_as("b"), 0);
}

TEST(PublishLimits, ATopicTooManyInHistoryTakesTheOldestEventsWithIt) {
  const BridgeProcess bridge({"limits.distinct_topics=10"});
  Publisher publisher(bridge.grpc_target());
  for (int i = 0; i < 30; ++i) {
    publisher.Publish({TextEvent(absl::StrCat("t.", i), absl::StrCat(i)), TextEvent(absl::StrCat("t.", i), "again")});
  }
  SseClient client(bridge.http_port(), "/events?topic=t.*&replay=all");
  EXPECT_EQ(client.NextData(1), std::vector<std::string>{"20"});
}

}  // namespace
}  // namespace bridge::test
