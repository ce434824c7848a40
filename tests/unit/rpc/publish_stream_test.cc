// A publisher's stream as a worker's: a gRPC server in this process, and calls on a log in its memory.
#include "bridge/rpc/publish_stream.h"

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "tests/support/bridge_process.h"
#include "tests/support/faulty_log.h"
#include "tests/support/publisher.h"
#include "tests/support/recording_follower.h"
#include "tests/support/worker.h"

#include "bridge/calls/calls.h"
#include "bridge/log/memory_log.h"
#include "bridge/loop/event_loop.h"
#include "bridge/payload/transcoder.h"
#include "bridge/rpc/connection_guard.h"
#include "bridge/rpc/publisher_identity.h"
#include "bridge/rpc/publisher_service.h"

namespace bridge::rpc {
namespace {

using calls::Calls;
using test::Eventually;
using test::Publisher;
using test::WorkerCall;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int kPermissionDenied = 7;
constexpr int kNotFound = 5;
constexpr int kInvalidArgument = 3;

class PublishStreamTest : public ::testing::Test {
 protected:
  enum class Has { kCalls, kNoCalls };

  void Start(Has has = Has::kCalls, PublisherService::Options options = {}, PublisherIdentity::Grants grants = All(),
             Calls::Options calls_options = {}) {
    loop_.BlockOn([&] { calls_ = std::make_unique<Calls>(&loop_.loop(), &*call_log_, &answers_, calls_options); });
    call_log_->Follow(calls_.get(), {});
    ASSERT_TRUE(answers_.WaitUntilCaughtUp());
    log_->Follow(&events_, {});
    PublisherIdentities identities(
        {.authenticator = &authenticator_, .has_certificates = false, .clients = {}, .anonymous = std::move(grants)});
    service_ = std::make_unique<PublisherService>(options, std::move(identities), &transcoder_, &*log_,
                                                  has == Has::kCalls ? calls_.get() : nullptr, &guard_);
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    target_ = absl::StrCat("127.0.0.1:", port);
  }
  ~PublishStreamTest() override {
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(5));
    loop_.BlockOn([this] {
      calls_->loop().AssertOnLoop();
      calls_->Detach();
    });
    call_log_.reset();
    loop_.BlockOn([this] { calls_ = nullptr; });
    log_.reset();
  }

  static PublisherIdentity::Grants All() {
    return {.publish = *auth::PatternSet::Parse({">"}), .serve = *auth::PatternSet::Parse({">"})};
  }
  static PublisherIdentity::Grants Serves(const std::vector<absl::string_view>& names) {
    return {.publish = {}, .serve = *auth::PatternSet::Parse(names)};
  }

  Calls::Outcome Open(calls::CallRequest request) {
    absl::Notification answered;
    Calls::Outcome answer;
    calls_->Open(std::move(request), [&](Calls::Outcome outcome) {
      answer = std::move(outcome);
      answered.Notify();
    });
    answered.WaitForNotification();
    return answer;
  }
  // Somebody asks: the call's id. REQUIRES: a worker serves the name.
  std::string Ask(const std::string& body = "hello", const std::string& name = "chat") {
    calls::CallRequest request;
    request.name = name;
    request.body = body;
    request.content_type = "text/plain";
    request.timeout = absl::Minutes(1);
    request.on_disconnect = calls::OnDisconnect::kContinue;
    const Calls::Outcome answer = Open(std::move(request));
    if (const auto* refusal = std::get_if<Calls::Refusal>(&answer)) {
      ADD_FAILURE() << refusal->message;
      return "";
    }
    return std::get<Calls::View>(answer).id;
  }
  void CancelCall(const std::string& id) {
    calls_->Cancel(id, {}, [](const Calls::Outcome&) {});
  }
  // The data of the answer's events, its end too.
  std::vector<std::string> Answer(const std::string& id) const {
    std::vector<std::string> data;
    for (const log::Entry& entry : answers_.entries()) {
      if (entry.record.topic == id) {
        data.push_back(entry.record.data);
      }
    }
    return data;
  }
  bool AwaitsEnd(const std::string& id, const std::string& status) const {
    return Eventually([&] {
      const std::vector<std::string> answer = Answer(id);
      return !answer.empty() && answer.back().find(absl::StrCat(R"("status":")", status, R"(")")) != std::string::npos;
    });
  }
  // Serves "chat", and has been told so.
  std::unique_ptr<WorkerCall> Serving(Publisher* publisher, const std::string& worker_id = "w",
                                      uint32_t max_concurrent = 10, const std::vector<WorkerCall::Held>& held = {}) {
    auto worker = std::make_unique<WorkerCall>(publisher);
    EXPECT_TRUE(worker->Serve(worker_id, {"chat"}, max_concurrent, held));
    EXPECT_TRUE(worker->NextServing().has_value());
    return worker;
  }

  // The same, and takes no response.
  std::unique_ptr<grpc::ClientReaderWriter<v1::PublishRequest, v1::PublishResponse>> ServeAndReadNothing(
      Publisher* publisher, grpc::ClientContext* context) {
    auto stream = publisher->Open(context);
    v1::PublishRequest request;
    request.mutable_serve()->set_worker_id("w");
    request.mutable_serve()->add_names("chat");
    request.mutable_serve()->set_max_concurrent(1000);
    stream->Write(request);
    EXPECT_TRUE(Eventually([&] { return calls_->metrics().workers.value() == 1; }));
    return stream;
  }

  std::optional<log::MemoryLog> log_{std::in_place, log::MemoryLog::Options{}};
  std::optional<test::FaultyLog> call_log_{std::in_place, std::make_unique<log::MemoryLog>(log::MemoryLog::Options{}),
                                           test::FaultyLog::Options{}};
  test::RecordingFollower events_;
  test::RecordingFollower answers_;
  loop::LoopThread loop_{"calls"};
  std::unique_ptr<Calls> calls_;
  const auth::Authenticator authenticator_;
  const payload::Transcoder transcoder_ = *payload::Transcoder::Create({});
  ConnectionGuard guard_{ConnectionGuard::Limits()};
  std::unique_ptr<PublisherService> service_;
  std::unique_ptr<grpc::Server> server_;
  std::string target_;
};

TEST_F(PublishStreamTest, AWorkerGetsACallAndItsAnswerIsKept) {
  Start();
  Publisher publisher(target_);
  const auto worker = Serving(&publisher);
  const std::string id = Ask("how are you?");
  const std::optional<v1::Call> call = worker->NextCall();
  ASSERT_TRUE(call.has_value());
  EXPECT_EQ(call->call_id(), id);
  EXPECT_EQ(call->attempt(), 1U);
  EXPECT_EQ(call->name(), "chat");
  EXPECT_EQ(call->body(), "how are you?");
  EXPECT_EQ(call->content_type(), "text/plain");
  EXPECT_GT(call->timeout().seconds(), 50);
  worker->Answer(*call, 0, {"fine", "and you?"});
  const std::optional<v1::CallAck> ack = worker->AwaitCallAck(id, 2);
  ASSERT_TRUE(ack.has_value());
  EXPECT_EQ(ack->code(), 0) << ack->message();
  worker->End(*call, 2);
  EXPECT_TRUE(AwaitsEnd(id, "ok"));
  EXPECT_EQ(Answer(id).size(), 3U);
  worker->HalfClose();
  EXPECT_TRUE(worker->Finish().ok());
}

TEST_F(PublishStreamTest, ARequestIsAckedWhenItsUpdatesHaveBeenTakenAsWellAsItsEvents) {
  Start();
  Publisher publisher(target_);
  const auto worker = Serving(&publisher);
  EXPECT_EQ(worker->NextAck()->request_id(), "");
  const std::string id = Ask();
  v1::PublishRequest request;
  request.set_request_id("both");
  *request.add_events() = test::TextEvent("a", "x");
  v1::CallUpdate& update = *request.add_call_updates();
  update.set_call_id(worker->NextCall()->call_id());
  update.set_attempt(1);
  update.add_events()->set_text("token");
  worker->Send(request);
  const std::optional<v1::Ack> ack = worker->NextAck();
  ASSERT_TRUE(ack.has_value());
  EXPECT_EQ(ack->request_id(), "both");
  EXPECT_NE(ack->first_id(), "") << "it is that of the event";
  EXPECT_TRUE(Eventually([&] { return Answer(id).size() == 1; }));
  EXPECT_EQ(events_.size(), 1U);
}

TEST_F(PublishStreamTest, ARequestWhoseUpdatesTheLogFailsGetsNoAckAndEndsItsStream) {
  Start();
  Publisher publisher(target_);
  const auto worker = Serving(&publisher);
  EXPECT_TRUE(worker->NextAck().has_value());  // of the request that serves
  Ask();
  const v1::Call call = *worker->NextCall();
  call_log_->FailNextAppend();
  worker->End(call, 0);
  const grpc::Status end = worker->Finish();
  EXPECT_EQ(end.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(end.error_message(), HasSubstr("send what was not acked"));
  EXPECT_FALSE(worker->NextAck().has_value());
}

TEST_F(PublishStreamTest, NamesThatAreNotGrantedAreNotServed) {
  Start(Has::kCalls, {}, Serves({"chat"}));
  Publisher publisher(target_);
  WorkerCall worker(&publisher);
  worker.Serve("w", {"mail", "chat"});
  const std::optional<v1::Serving> serving = worker.NextServing();
  ASSERT_TRUE(serving.has_value());
  ASSERT_EQ(serving->rejected_size(), 1);
  EXPECT_EQ(serving->rejected(0).index(), 0U);
  EXPECT_EQ(serving->rejected(0).code(), kPermissionDenied);
  Ask();
  EXPECT_EQ(worker.NextCall()->name(), "chat");
  calls::CallRequest request;
  request.name = "mail";
  request.timeout = absl::Minutes(1);
  EXPECT_TRUE(std::holds_alternative<Calls::Refusal>(Open(std::move(request))));
}

TEST_F(PublishStreamTest, UpdatesWithoutServeAreNobodys) {
  Start();
  Publisher publisher(target_);
  WorkerCall worker(&publisher);
  v1::Call call;
  call.set_call_id("abcdefghijklmnopqrstuv");
  call.set_attempt(1);
  worker.Answer(call, 0, {"a"});
  const std::optional<v1::CallAck> ack = worker.NextCallAck();
  ASSERT_TRUE(ack.has_value());
  EXPECT_EQ(ack->code(), kNotFound);
  EXPECT_THAT(ack->message(), HasSubstr("send serve before call_updates"));
  EXPECT_TRUE(worker.NextAck().has_value());
  worker.HalfClose();
  EXPECT_TRUE(worker.Finish().ok());
}

TEST_F(PublishStreamTest, ABadEventCutsItsUpdateAndHarmsNoOtherCall) {
  Start();
  Publisher publisher(target_);
  const auto worker = Serving(&publisher);
  const std::string one = Ask();
  const v1::Call call = *worker->NextCall();
  const std::string other = Ask();
  const v1::Call other_call = *worker->NextCall();
  v1::PublishRequest request;
  v1::CallUpdate& bad = *request.add_call_updates();
  bad.set_call_id(one);
  bad.set_attempt(1);
  bad.add_events()->set_text("good");
  bad.add_events()->set_topic("a");
  v1::CallUpdate& good = *request.add_call_updates();
  good.set_call_id(other);
  good.set_attempt(1);
  good.add_events()->set_text("fine");
  worker->Send(request);
  bool is_rejected = false;
  bool is_acked = false;
  while (!is_rejected || !is_acked) {
    const std::optional<v1::CallAck> ack = worker->NextCallAck();
    ASSERT_TRUE(ack.has_value());
    is_rejected = is_rejected || (ack->call_id() == one && ack->code() == kInvalidArgument);
    is_acked = is_acked || (ack->call_id() == other && ack->next_index() == 1);
  }
  EXPECT_TRUE(Eventually([&] { return Answer(one).size() == 1; }));
  EXPECT_THAT(Answer(one), ElementsAre("good"));
}

TEST_F(PublishStreamTest, ACancelIsTold) {
  Start();
  Publisher publisher(target_);
  const auto worker = Serving(&publisher);
  const std::string id = Ask();
  const v1::Call call = *worker->NextCall();
  CancelCall(id);
  const std::optional<v1::CallCancel> cancel = worker->NextCancel();
  ASSERT_TRUE(cancel.has_value());
  EXPECT_EQ(cancel->call_id(), id);
  EXPECT_EQ(cancel->attempt(), 1U);
  EXPECT_EQ(cancel->reason(), v1::CallCancel::CLIENT);
  worker->End(call, 0);
  EXPECT_TRUE(AwaitsEnd(id, "cancelled"));
}

TEST_F(PublishStreamTest, AHalfCloseHandsBackWhatIsHeld) {
  Start();
  Publisher publisher(target_);
  const auto first = Serving(&publisher, "first");
  const std::string id = Ask();
  ASSERT_TRUE(first->NextCall().has_value());
  const auto second = Serving(&publisher, "second");
  first->HalfClose();
  const std::optional<v1::Call> again = second->NextCall();
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->call_id(), id);
  EXPECT_EQ(again->attempt(), 2U);
  EXPECT_TRUE(first->Finish().ok());
}

TEST_F(PublishStreamTest, AfterAHalfCloseWhatWasSentIsAckedStill) {
  Start();
  Publisher publisher(target_);
  for (int i = 0; i < 20; ++i) {
    const auto worker = Serving(&publisher);
    const std::string id = Ask();
    const v1::Call call = *worker->NextCall();
    worker->Answer(call, 0, {"a"});
    worker->End(call, 1);
    worker->HalfClose();
    ASSERT_TRUE(worker->Finish().ok());
    EXPECT_EQ(worker->AwaitCallAck(id, 1)->code(), 0);
    EXPECT_TRUE(AwaitsEnd(id, "ok"));
  }
}

TEST_F(PublishStreamTest, ABrokenStreamsWorkerComesBackToItsCalls) {
  Start();
  Publisher publisher(target_);
  auto worker = Serving(&publisher);
  const std::string id = Ask();
  const v1::Call call = *worker->NextCall();
  worker->Answer(call, 0, {"a", "b"});
  ASSERT_TRUE(worker->AwaitCallAck(id, 2).has_value());
  worker = nullptr;
  worker = Serving(&publisher, "w", 10, {{.call_id = id}, {.call_id = "abcdefghijklmnopqrstuv"}});
  const std::optional<v1::CallAck> ack = worker->NextCallAck();
  ASSERT_TRUE(ack.has_value());
  EXPECT_EQ(ack->call_id(), id);
  EXPECT_EQ(ack->next_index(), 2U);
  const std::optional<v1::CallCancel> lost = worker->NextCancel();
  ASSERT_TRUE(lost.has_value());
  EXPECT_EQ(lost->call_id(), "abcdefghijklmnopqrstuv");
  EXPECT_EQ(lost->reason(), v1::CallCancel::LOST);
  worker->Answer(call, 1, {"b", "c"});
  worker->End(call, 3);
  EXPECT_TRUE(AwaitsEnd(id, "ok"));
  EXPECT_EQ(Answer(id).size(), 4U);
}

TEST_F(PublishStreamTest, ABrokenStreamHandsNothingBack) {
  Start();
  Publisher publisher(target_);
  for (int i = 0; i < 100; ++i) {  // gRPC tells of the end of the input, and of the break, in any order
    auto worker = Serving(&publisher);
    const std::string id = Ask();
    const v1::Call call = *worker->NextCall();
    worker->Answer(call, 0, {"a"});
    ASSERT_TRUE(worker->AwaitCallAck(id, 1).has_value());
    worker->Cancel();
    worker->Finish();
    worker = Serving(&publisher, "w", 10, {{.call_id = id}});
    worker->End(call, 1);
    ASSERT_TRUE(AwaitsEnd(id, "ok")) << Answer(id).back();
  }
}

TEST_F(PublishStreamTest, ANewerStreamOfTheWorkerTakesOver) {
  Start();
  Publisher publisher(target_);
  const auto older = Serving(&publisher);
  const std::string id = Ask();
  const v1::Call call = *older->NextCall();
  const auto newer = Serving(&publisher, "w", 10, {{.call_id = id}});
  const grpc::Status end = older->Finish();
  EXPECT_EQ(end.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(end.error_message(), "a newer stream of this worker has taken over");
  newer->End(call, 0);
  EXPECT_TRUE(AwaitsEnd(id, "ok"));
}

TEST_F(PublishStreamTest, AWorkerThatIsToldToDrainMovesWithItsCalls) {
  Start();
  Publisher publisher(target_);
  const auto older = Serving(&publisher);
  const std::string id = Ask();
  const v1::Call call = *older->NextCall();
  service_->BeginDrain();
  ASSERT_TRUE(older->AwaitDraining());
  older->HalfClose();
  EXPECT_TRUE(older->Finish().ok());
  const auto newer = Serving(&publisher, "w", 10, {{.call_id = id}});
  EXPECT_EQ(newer->NextCallAck()->next_index(), 0U);
  newer->End(call, 0);
  EXPECT_TRUE(AwaitsEnd(id, "ok"));
  EXPECT_EQ(newer->waiting_calls(), 0U) << "it has not been handed out again";
}

TEST_F(PublishStreamTest, AStreamThatIsEndedKeepsItsCallsForTheWorker) {
  Start();
  Publisher publisher(target_);
  const auto older = Serving(&publisher);
  const std::string id = Ask();
  const v1::Call call = *older->NextCall();
  service_->EndStreams();
  EXPECT_EQ(older->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  const auto newer = Serving(&publisher, "w", 10, {{.call_id = id}});
  newer->End(call, 0);
  EXPECT_TRUE(AwaitsEnd(id, "ok"));
}

TEST_F(PublishStreamTest, NoMoreCallsThanItTakesAndNoneWithZero) {
  Start();
  Publisher publisher(target_);
  const auto worker = Serving(&publisher, "w", 1);
  Ask();
  const std::string second = Ask();
  const v1::Call call = *worker->NextCall();
  worker->Serve("w", {"chat"}, 0, {{.call_id = call.call_id()}});
  ASSERT_TRUE(worker->NextServing().has_value());
  worker->End(call, 0);
  EXPECT_TRUE(AwaitsEnd(call.call_id(), "ok"));
  EXPECT_EQ(worker->waiting_calls(), 0U);
  worker->Serve("w", {"chat"}, 1);
  EXPECT_EQ(worker->NextCall()->call_id(), second);
}

TEST_F(PublishStreamTest, ABadServeEndsTheStream) {
  Start();
  Publisher publisher(target_);
  WorkerCall worker(&publisher);
  worker.Serve("", {"chat"});
  const grpc::Status end = worker.Finish();
  EXPECT_EQ(end.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(end.error_message(), HasSubstr("1 to 128 bytes"));
}

TEST_F(PublishStreamTest, WithoutCallsNobodyIsAWorker) {
  Start(Has::kNoCalls);
  Publisher publisher(target_);
  WorkerCall worker(&publisher);
  worker.Serve("w", {"chat"});
  const grpc::Status end = worker.Finish();
  EXPECT_EQ(end.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(end.error_message(), HasSubstr("calls are not served"));
}

TEST_F(PublishStreamTest, PublishOnceHasNoPlaceForCalls) {
  Start();
  Publisher publisher(target_);
  v1::PublishRequest request;
  request.mutable_serve()->set_worker_id("w");
  v1::Ack ack;
  grpc::Status status = publisher.TryPublish(request, &ack);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("belong on a Publish stream"));
  request.clear_serve();
  request.add_call_updates();
  status = publisher.TryPublish(request, &ack);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(PublishStreamTest, WhatWorkersDoNotReadIsCountedAndGivenBack) {
  Start(Has::kCalls, {}, All(), {.bytes_in_flight_max = uint64_t{1} << 30});
  Publisher publisher(target_);
  grpc::ClientContext context;
  const auto stream = ServeAndReadNothing(&publisher, &context);
  for (int i = 0; i < 100; ++i) {
    Ask(std::string(200 << 10, 'b'));
  }
  EXPECT_TRUE(Eventually([&] { return service_->metrics().ack_bytes.value() > uint64_t{10} << 20; }));
  service_->Check();  // within its time
  context.TryCancel();
  EXPECT_TRUE(Eventually([&] { return service_->metrics().ack_bytes.value() == 0; }));
  EXPECT_EQ(service_->metrics().request_bytes.value(), 0U);
  stream->Finish();
}

TEST_F(PublishStreamTest, WhatCallsHaveNotGoneThroughIsCountedAndHoldsUpItsPublisher) {
  PublisherService::Options options;
  options.stream.bytes_in_flight_max = 100'000;
  Start(Has::kCalls, options);
  absl::Mutex busy;
  busy.Lock();
  loop_.loop().Post([&busy] { const absl::MutexLock lock(&busy); });
  Publisher publisher(target_);
  grpc::ClientContext context;
  const auto stream = publisher.Open(&context);
  v1::PublishRequest request;
  request.mutable_serve()->set_worker_id("w");
  for (int i = 0; i < 1000; ++i) {
    request.mutable_serve()->add_held()->set_call_id(calls::RandomCallId());
  }
  std::thread writer([&] {
    for (int i = 0; i < 100; ++i) {
      stream->Write(request);
    }
    stream->WritesDone();
  });
  EXPECT_TRUE(Eventually([&] { return service_->metrics().request_bytes.value() > 100'000; }));
  absl::SleepFor(absl::Milliseconds(200));  // more would have come
  EXPECT_LT(service_->metrics().requests.value(), 4U);
  busy.Unlock();
  v1::PublishResponse response;
  int acks = 0;
  while (stream->Read(&response)) {
    acks += response.acks_size();
  }
  writer.join();
  EXPECT_EQ(acks, 100);
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(service_->metrics().request_bytes.value(), 0U);
}

TEST_F(PublishStreamTest, AWorkerThatTakesNothingForTooLongIsCancelled) {
  PublisherService::Options options;
  options.stream.send_timeout = absl::Milliseconds(300);
  Start(Has::kCalls, options, All(), {.bytes_in_flight_max = uint64_t{1} << 30});
  Publisher publisher(target_);
  grpc::ClientContext context;
  const auto stream = ServeAndReadNothing(&publisher, &context);
  for (int i = 0; i < 50; ++i) {
    Ask(std::string(200 << 10, 'b'));
  }
  EXPECT_TRUE(Eventually([&] {
    service_->Check();
    return service_->metrics().streams_timed_out.value() == 1;
  }));
  EXPECT_TRUE(Eventually([&] { return calls_->metrics().workers.value() == 0; })) << "Calls has been told";
  v1::PublishResponse response;
  while (stream->Read(&response)) {
  }
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

}  // namespace
}  // namespace bridge::rpc
