// Calls over the real binary, seen from their workers.
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/support/bridge_process.h"
#include "tests/support/fault_proxy.h"
#include "tests/support/publisher.h"
#include "tests/support/raw_http.h"
#include "tests/support/sse_client.h"
#include "tests/support/token_issuer.h"
#include "tests/support/worker.h"

namespace bridge::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

SseClient::Options Post(const std::string& body = "hello", const std::string& headers = "") {
  return {.target = "/calls/chat", .headers = headers, .method = "POST", .body = body};
}

// Serves "chat", and has been told so.
std::unique_ptr<WorkerCall> Serving(Publisher* publisher, const std::vector<WorkerCall::Held>& held = {},
                                    const std::string& worker_id = "w") {
  auto worker = std::make_unique<WorkerCall>(publisher);
  EXPECT_TRUE(worker->Serve(worker_id, {"chat"}, 10, held));
  EXPECT_TRUE(worker->NextServing().has_value());
  return worker;
}

// The data of the answer's events up to its end, whose data comes last.
std::vector<std::string> WholeAnswer(SseClient& reader) {
  std::vector<std::string> data;
  while (const std::optional<SseEvent> event = reader.Next()) {
    if (event->type == "bridge.end" || !event->type.starts_with("bridge.")) {
      data.push_back(event->data);
    }
    if (event->type == "bridge.end") {
      break;
    }
  }
  return data;
}

TEST(CallsWorker, AnswersTokenByToken) {
  const BridgeProcess bridge;
  Publisher publisher(bridge.grpc_target());
  const auto worker = Serving(&publisher);
  SseClient reader(bridge.http_port(), Post("how are you?"));
  const std::optional<v1::Call> call = worker->NextCall();
  ASSERT_TRUE(call.has_value());
  EXPECT_EQ(call->name(), "chat");
  EXPECT_EQ(call->body(), "how are you?");
  EXPECT_EQ(call->content_type(), "application/json");
  worker->Answer(*call, 0, {"fine,"});
  EXPECT_THAT(reader.NextData(1), ElementsAre("fine,"));
  worker->Answer(*call, 1, {"thanks"});
  EXPECT_THAT(reader.NextData(1), ElementsAre("thanks"));
  worker->End(*call, 2);
  EXPECT_THAT(WholeAnswer(reader), ElementsAre(HasSubstr(R"("status":"ok")")));
  EXPECT_TRUE(reader.WaitForEnd());
  EXPECT_TRUE(reader.has_ended_cleanly());
}

TEST(CallsWorker, GetsTheHeadersThatAreNamedAndNoOther) {
  const BridgeProcess bridge({"calls.metadata=[x-tenant, x-none]"});
  Publisher publisher(bridge.grpc_target());
  const auto worker = Serving(&publisher);
  const SseClient reader(bridge.http_port(), Post("hello", "X-Tenant: a\r\nX-Other: c\r\nX-TENANT: b\r\n"));
  const std::optional<v1::Call> call = worker->NextCall();
  ASSERT_TRUE(call.has_value());
  EXPECT_THAT(call->metadata(), ElementsAre(Pair("x-tenant", "a, b")));
}

TEST(CallsWorker, WhoseConnectionIsCutResendsAndNothingIsLostOrDoubled) {
  const BridgeProcess bridge;
  FaultProxy proxy(bridge.grpc_port());
  const std::string target = absl::StrCat("127.0.0.1:", proxy.port());
  auto publisher = std::make_unique<Publisher>(target, Publisher::Channel::kOwn);
  auto worker = Serving(publisher.get());
  SseClient reader(bridge.http_port(), Post());
  const std::optional<v1::Call> call = worker->NextCall();
  ASSERT_TRUE(call.has_value());
  std::vector<std::string> expected;
  uint64_t kept = 0;
  for (uint64_t sent = 0; sent < 60;) {
    // What it sends before the cut may have come or not.
    for (int i = 0; i < 10; ++i, ++sent) {
      expected.push_back(absl::StrCat(sent));
      worker->Answer(*call, sent, {expected.back()});
    }
    proxy.Cut();
    worker = nullptr;
    publisher = std::make_unique<Publisher>(target, Publisher::Channel::kOwn);
    worker = Serving(publisher.get(), {{.call_id = call->call_id(), .attempt = call->attempt()}});
    const std::optional<v1::CallAck> ack = worker->NextCallAck();
    ASSERT_TRUE(ack.has_value());
    ASSERT_EQ(ack->code(), 0) << ack->message();
    EXPECT_GE(ack->next_index(), kept);
    EXPECT_LE(ack->next_index(), sent);
    kept = ack->next_index();
    for (uint64_t i = kept; i < sent; ++i) {
      worker->Answer(*call, i, {expected[i]});
    }
  }
  worker->End(*call, expected.size());
  expected.emplace_back("the end");
  std::vector<std::string> answer = WholeAnswer(reader);
  EXPECT_THAT(answer.back(), HasSubstr(R"("status":"ok")"));
  answer.back() = "the end";
  EXPECT_EQ(answer, expected);
}

TEST(CallsWorker, IsToldToStopWhenTheBrowserSaysSo) {
  const BridgeProcess bridge;
  Publisher publisher(bridge.grpc_target());
  const auto worker = Serving(&publisher);
  SseClient reader(bridge.http_port(), Post());
  const std::optional<v1::Call> call = worker->NextCall();
  ASSERT_TRUE(call.has_value());
  EXPECT_EQ(Fetch(bridge.http_port(), "DELETE", absl::StrCat("/calls/", call->call_id())).status, 202);
  const std::optional<v1::CallCancel> cancel = worker->NextCancel();
  ASSERT_TRUE(cancel.has_value());
  EXPECT_EQ(cancel->call_id(), call->call_id());
  EXPECT_EQ(cancel->reason(), v1::CallCancel::CLIENT);
  worker->End(*call, 0);
  EXPECT_THAT(WholeAnswer(reader), ElementsAre(HasSubstr(R"("status":"cancelled")")));
}

TEST(CallsWorker, ThatHalfClosesHandsItsCallsToAnother) {
  const BridgeProcess bridge;
  Publisher publisher(bridge.grpc_target());
  const auto first = Serving(&publisher, {}, "first");
  SseClient reader(bridge.http_port(), Post());
  ASSERT_TRUE(first->NextCall().has_value());
  const auto second = Serving(&publisher, {}, "second");
  first->HalfClose();
  EXPECT_TRUE(first->Finish().ok());
  const std::optional<v1::Call> call = second->NextCall();
  ASSERT_TRUE(call.has_value());
  EXPECT_EQ(call->attempt(), 2U);
  second->Answer(*call, 0, {"a"});
  second->End(*call, 1);
  EXPECT_THAT(WholeAnswer(reader), ElementsAre("a", HasSubstr(R"("status":"ok")")));
}

class CallsWorkerTokens : public ::testing::Test {
 protected:
  std::string Token(const std::string& serve, const std::string& subject = "team") const {
    return issuer_.TokenWith(
        absl::StrCat(R"("exp": )", absl::ToUnixSeconds(absl::Now() + absl::Hours(1)), R"(, "sub": ")", subject,
                     R"(", "bridge.serve": [)", serve, R"(], "bridge.call": ["chat"])"),
        "");
  }

  const TokenIssuer issuer_;
  const BridgeProcess bridge_{issuer_.Settings({"auth.anonymous.serve=[open]"})};
  Publisher publisher_{bridge_.grpc_target()};
};

TEST_F(CallsWorkerTokens, SayWhichCallsTheirHolderServes) {
  publisher_.SetToken(Token(R"("chat", "reports.*")"));
  WorkerCall worker(&publisher_);
  ASSERT_TRUE(worker.Serve("w", {"mail", "chat", "open", "reports.eu"}));
  const std::optional<v1::Serving> serving = worker.NextServing();
  ASSERT_TRUE(serving.has_value());
  ASSERT_EQ(serving->rejected_size(), 2);
  EXPECT_EQ(serving->rejected(0).index(), 0U);
  EXPECT_EQ(serving->rejected(0).code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(serving->rejected(0).message(), HasSubstr("call \"mail\""));
  EXPECT_EQ(serving->rejected(1).index(), 2U);
  SseClient reader(bridge_.http_port(), Post("hello", BearerHeader(Token("", "ann"))));
  const std::optional<v1::Call> call = worker.NextCall();
  ASSERT_TRUE(call.has_value());
  EXPECT_EQ(call->subject(), "ann");
  worker.End(*call, 0);
  EXPECT_THAT(WholeAnswer(reader), ElementsAre(HasSubstr(R"("status":"ok")")));
}

TEST_F(CallsWorkerTokens, AreNotNeededForWhatEverybodyServes) {
  WorkerCall open(&publisher_);
  ASSERT_TRUE(open.Serve("w", {"open"}));
  EXPECT_EQ(open.NextServing()->rejected_size(), 0);
  WorkerCall closed(&publisher_);
  closed.Serve("w2", {"open", "chat"});
  const grpc::Status end = closed.Finish();
  EXPECT_EQ(end.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_THAT(end.error_message(), HasSubstr("call \"chat\": not everybody may serve it; send a token as metadata"));
}

TEST_F(CallsWorkerTokens, AWorkerOfAnotherSubjectIsAnotherWorker) {
  publisher_.SetToken(Token(R"("chat")", "one"));
  const auto one = Serving(&publisher_);
  SseClient reader(bridge_.http_port(), Post("hello", BearerHeader(Token("", "ann"))));
  const std::optional<v1::Call> call = one->NextCall();
  ASSERT_TRUE(call.has_value());
  Publisher other_publisher(bridge_.grpc_target());
  other_publisher.SetToken(Token(R"("chat")", "other"));
  // With the same worker_id.
  const auto other = Serving(&other_publisher, {{.call_id = call->call_id(), .attempt = call->attempt()}});
  EXPECT_EQ(other->NextCancel()->reason(), v1::CallCancel::LOST);
  other->Answer(*call, 0, {"forged"});
  EXPECT_EQ(other->NextCallAck()->code(), grpc::StatusCode::ABORTED);
  one->Answer(*call, 0, {"true"});
  one->End(*call, 1);
  EXPECT_THAT(WholeAnswer(reader), ElementsAre("true", HasSubstr(R"("status":"ok")")));
}

TEST(CallsWorkerDrain, ACallThatIsOpenEndsBeforeTheBridgeDoes) {
  BridgeProcess bridge({"drain.delay=0s", "drain.window=5s"});
  Publisher publisher(bridge.grpc_target());
  const auto worker = Serving(&publisher);
  SseClient reader(bridge.http_port(), Post());
  const std::optional<v1::Call> call = worker->NextCall();
  ASSERT_TRUE(call.has_value());
  worker->Answer(*call, 0, {"a"});
  bridge.Signal(SIGTERM);
  ASSERT_TRUE(worker->AwaitDraining());
  worker->Answer(*call, 1, {"b"});
  worker->End(*call, 2);
  EXPECT_THAT(WholeAnswer(reader), ElementsAre("a", "b", HasSubstr(R"("status":"ok")")));
  worker->HalfClose();
  EXPECT_TRUE(worker->Finish().ok());
  EXPECT_EQ(bridge.WaitForExit(), 0);
}

}  // namespace
}  // namespace bridge::test
