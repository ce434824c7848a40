// Calls that are forged, stolen, too many or never whole, and workers that answer what they were not asked.
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/hostile/attacked.h"
#include "tests/support/crowd.h"
#include "tests/support/publisher.h"
#include "tests/support/sse_client.h"
#include "tests/support/token_issuer.h"
#include "tests/support/tokens.h"
#include "tests/support/worker.h"

namespace bridge::test {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

constexpr char kSecret[] = "a secret of the tests, of 32 bytes and more";
constexpr char kForgedId[] = "AAAAAAAAAAAAAAAAAAAAAA";

std::string Post(absl::string_view name, absl::string_view body, absl::string_view headers = "") {
  return absl::StrCat("POST /calls/", name, " HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n", headers,
                      "Content-Length: ", body.size(), "\r\n\r\n", body);
}

// A bridge that gives back what calls took soon after they have ended.
class Calls : public Attacked {
 protected:
  explicit Calls(std::vector<std::string> settings = {})
      : Attacked(With(std::move(settings))),
        publisher_(std::make_unique<Publisher>(bridge_.grpc_target(), Publisher::Channel::kOwn)) {}

  void TearDown() override {
    publisher_ = nullptr;
    Attacked::TearDown();
  }

  std::unique_ptr<WorkerCall> Serve(uint32_t max_concurrent, const std::string& worker_id = "w1") {
    auto worker = std::make_unique<WorkerCall>(publisher_.get());
    EXPECT_TRUE(worker->Serve(worker_id, {"chat"}, max_concurrent));
    EXPECT_TRUE(worker->NextServing().has_value());
    return worker;
  }
  // Opens one that nobody reads, and returns its id.
  std::string Open(absl::string_view headers = "") const {
    const HttpResponse response =
        Fetch(bridge_.http_port(), "POST", "/calls/chat", absl::StrCat("Prefer: respond-async\r\n", headers), "hello");
    EXPECT_EQ(response.status, 202) << response.body;
    return response.Header("Location");
  }

  std::unique_ptr<Publisher> publisher_;

 private:
  static std::vector<std::string> With(std::vector<std::string> settings) {
    for (const char* setting :
         {"calls.max_duration=5s", "calls.history=1s", "calls.grace=1s", "calls.cancel_timeout=200ms"}) {
      settings.emplace_back(setting);
    }
    return settings;
  }
};

TEST_F(Calls, ForgedIdsAreUnknownWhateverIsAskedOfThem) {
  const auto worker = Serve(1);
  const std::string id = Open();
  for (const std::string& target :
       {absl::StrCat("/calls/", kForgedId), std::string("/calls/"), std::string("/calls/.."),
        absl::StrCat("/calls/", id, "x"), absl::StrCat("/calls/", id.substr(0, 21)), absl::StrCat("/calls/", id, "/x"),
        absl::StrCat("/calls/", std::string(4000, 'a')), std::string("/calls/%00"), std::string("/calls/..%2f")}) {
    for (const char* method : {"GET", "DELETE"}) {
      EXPECT_THAT(Fetch(bridge_.http_port(), method, target).status, AnyOf(400, 404)) << method << " " << target;
    }
  }
  EXPECT_EQ(Fetch(bridge_.http_port(), "DELETE", absl::StrCat("/calls/", id)).status, 202);
}

TEST_F(Calls, BodiesThatNeverEndOrAreTooLargeReachNobody) {
  const auto worker = Serve(10);
  EXPECT_EQ(Fetch(bridge_.http_port(), "POST", "/calls/chat", "", std::string(300 << 10, 'x')).status, 413);
  const std::string endless =
      Exchange(absl::StrCat("POST /calls/chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
                            "50000\r\n", std::string(0x50000, 'x'), "\r\n"));
  EXPECT_THAT(endless, HasSubstr("HTTP/1.1 413 "));
  Crowd crowd({.port = bridge_.http_port(), .size = 200});
  crowd.Send("POST /calls/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf");
  EXPECT_EQ(worker->waiting_calls(), 0U);
}

TEST_F(Calls, TenThousandAtOnceAreBoundedAndEachIsAnswered) {
  const size_t count = Crowd::SizeWithin(10'000);
  const auto worker = Serve(100);
  {
    Crowd crowd({.port = bridge_.http_port(), .size = count});
    crowd.Send(Post("chat", "hello"));
    const auto answered = [&] {
      crowd.Receive(SIZE_MAX);
      return crowd.CountAnswered("HTTP/1.1 200 ") + crowd.CountAnswered("HTTP/1.1 503 ");
    };
    EXPECT_TRUE(Eventually([&] { return answered() == count; }, absl::Seconds(60))) << answered() << " of " << count;
    // A hundred are worked on, a thousand wait; the rest is refused.
    EXPECT_LE(crowd.CountAnswered("HTTP/1.1 200 "), 1'200U);
  }
  // Nobody reads them any more.
  EXPECT_TRUE(bridge_.WaitForMetric("sse_bridge_calls_open", 0, absl::Seconds(30)));
}

TEST_F(Calls, WorkersThatAnswerWhatTheyWereNotGivenChangeNothing) {
  const auto worker = Serve(1);
  const auto thief = Serve(0, "thief");
  SseClient reader(bridge_.http_port(), SseClient::Options{.target = "/calls/chat", .method = "POST", .body = "hi"});
  const auto call = worker->NextCall();
  ASSERT_TRUE(call.has_value());
  thief->Answer(*call, 0, {"forged"});
  thief->End(*call, 0);
  v1::Call another = *call;
  another.set_attempt(2);
  worker->Answer(another, 0, {"of another attempt"});
  another.set_call_id(kForgedId);
  worker->Answer(another, 0, {"of no call"});
  ASSERT_TRUE(thief->NextCallAck().has_value());
  worker->Answer(*call, 0, {"true"});
  worker->End(*call, 1);
  EXPECT_THAT(reader.NextData(1), ::testing::ElementsAre("true"));
  EXPECT_TRUE(reader.WaitForEnd());
  EXPECT_TRUE(reader.has_ended_cleanly());
}

TEST_F(Calls, TwoProcessesWithOneWorkerIdAreOneAfterTheOther) {
  const auto first = Serve(1, "same");
  Publisher other(bridge_.grpc_target(), Publisher::Channel::kOwn);
  WorkerCall second(&other);
  ASSERT_TRUE(second.Serve("same", {"chat"}, 1));
  EXPECT_EQ(first->Finish().error_code(), grpc::StatusCode::ABORTED);
  const std::string id = Open();
  const auto call = second.NextCall();
  ASSERT_TRUE(call.has_value());
  EXPECT_EQ(call->call_id(), id);
  second.End(*call, 0);
}

TEST_F(Calls, AWorkerThatFloodsIsStoppedAtTheAnswersLimit) {
  const auto worker = Serve(1);
  SseClient reader(bridge_.http_port(), SseClient::Options{.target = "/calls/chat", .method = "POST", .body = "hi"});
  reader.Head();
  const auto call = worker->NextCall();
  ASSERT_TRUE(call.has_value());
  const std::string large(100 << 10, 'x');
  for (uint64_t i = 0; i < 200; ++i) {  // 20 MB
    worker->Answer(*call, i, {large});
  }
  const auto cancel = worker->NextCancel();
  ASSERT_TRUE(cancel.has_value());
  EXPECT_EQ(cancel->reason(), v1::CallCancel::LIMIT);
  EXPECT_TRUE(bridge_.WaitForMetric("sse_bridge_calls_ended_total{status=\"limit\"}", 1));
}

// --- With tokens.

std::string Bearer(absl::string_view claims) {
  return BearerHeader(SignToken(absl::StrCat(R"({"exp": 4000000000, )", claims, "}"), SecretSigner(kSecret)));
}

class WithKeys {
 protected:
  TokenIssuer issuer_{kSecret};
};

class OwnedCalls : protected WithKeys, public Calls {
 protected:
  OwnedCalls() : Calls(Settings(issuer_)) {}

 private:
  static std::vector<std::string> Settings(const TokenIssuer& issuer) {
    std::vector<std::string> settings = issuer.Settings({"limits.calls_per_subject=3"});
    settings.push_back(absl::StrCat("auth.anonymous.subscribe=[", Bystander::kTopic, "]"));
    settings.emplace_back("auth.anonymous.serve=[chat]");
    return settings;
  }
};

TEST_F(OwnedCalls, BelongToTheirSubject) {
  const auto worker = Serve(10);
  const std::string ann = Bearer(R"("sub": "ann", "bridge": {"call": ["chat"]})");
  const std::string bob = Bearer(R"("sub": "bob", "bridge": {"call": ["chat"]})");
  const std::string id = Open(ann);
  const std::string target = absl::StrCat("/calls/", id);
  for (const std::string& other : {bob, std::string()}) {
    EXPECT_THAT(Fetch(bridge_.http_port(), "GET", target, other).status, AnyOf(401, 404));
    EXPECT_THAT(Fetch(bridge_.http_port(), "DELETE", target, other).status, AnyOf(401, 404));
  }
  Open(ann);
  Open(ann);
  EXPECT_EQ(Fetch(bridge_.http_port(), "POST", "/calls/chat", ann, "one too many").status, 429);
  EXPECT_EQ(Fetch(bridge_.http_port(), "DELETE", target, ann).status, 202);
}

TEST_F(OwnedCalls, WantATokenThatGrantsThemAndNamesSomebody) {
  const auto worker = Serve(10);
  const auto status = [&](const std::string& headers) {
    return Fetch(bridge_.http_port(), "POST", "/calls/chat", headers, "hello").status;
  };
  EXPECT_EQ(status(""), 401);
  EXPECT_EQ(status(Bearer(R"("sub": "ann", "bridge": {"call": ["report"]})")), 403);
  EXPECT_EQ(status(Bearer(R"("bridge": {"call": ["chat"]})")), 403);
  EXPECT_EQ(
      status(absl::StrCat(Bearer(R"("sub": "ann", "bridge": {"call": ["chat"]})"), "Origin: https://evil.example\r\n")),
      403);
}

}  // namespace
}  // namespace bridge::test
