#include "examples/cpp/worker_client.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "examples/cpp/well_formed.h"
#include "tests/support/loopback_grpc_server.h"

#include "bridge/v1/publisher.grpc.pb.h"

namespace demo {
namespace {

using ::bridge::v1::Call;
using ::bridge::v1::CallAck;
using ::bridge::v1::CallEnd;
using ::bridge::v1::CallUpdate;
using ::bridge::v1::Event;
using ::bridge::v1::Publisher;
using ::bridge::v1::PublishRequest;
using ::bridge::v1::PublishResponse;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

using Stream = grpc::ServerReaderWriter<PublishResponse, PublishRequest>;

constexpr absl::Duration kPatience = absl::Seconds(20);

// A bridge with one call, and a log of its answer.
class FakeBridge final : public Publisher::Service {
 public:
  // What is wrong with an update that could be kept; OK for nothing.
  using Judge = std::function<grpc::StatusCode(const CallUpdate&)>;

  std::string target() const { return server_.target(); }

  // Before the first stream, as what follows.
  void SetJudge(Judge judge) { judge_ = std::move(judge); }
  // Each stream ends with it as soon as it serves.
  void EndStreamsWith(grpc::StatusCode code) { end_of_streams_ = code; }
  // The first stream breaks then, and nothing is read on it after the call was given.
  void BreakFirstStreamAt(absl::Notification* when) { breaks_at_ = when; }

  // The end that the log has; nullopt where it does not come.
  std::optional<CallEnd> AwaitEnd() {
    const absl::MutexLock lock(&mutex_);
    const auto has_end = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return end_.has_value(); };
    mutex_.AwaitWithTimeout(absl::Condition(&has_end), kPatience);
    return end_;
  }
  std::vector<std::string> texts() {
    const absl::MutexLock lock(&mutex_);
    return texts_;
  }
  size_t streams() {
    const absl::MutexLock lock(&mutex_);
    return streams_;
  }
  // That had more than one event.
  size_t request_bytes_max() {
    const absl::MutexLock lock(&mutex_);
    return request_bytes_max_;
  }

 private:
  grpc::Status Publish(grpc::ServerContext*, Stream* stream) override {
    {
      const absl::MutexLock lock(&mutex_);
      ++streams_;
    }
    PublishRequest request;
    while (stream->Read(&request)) {
      const bool is_first = request.has_serve() && request.serve().held().empty();
      stream->Write(ResponseTo(request));
      if (request.has_serve() && end_of_streams_ != grpc::StatusCode::OK) return {end_of_streams_, "of a test"};
      if (is_first && breaks_at_ != nullptr) {
        breaks_at_->WaitForNotification();
        return {grpc::StatusCode::UNAVAILABLE, "of a test"};
      }
    }
    return grpc::Status::OK;
  }

  PublishResponse ResponseTo(const PublishRequest& request) {
    const absl::MutexLock lock(&mutex_);
    PublishResponse response;
    response.add_acks()->set_request_id(request.request_id());
    if (request.has_serve()) {
      response.mutable_serving();
      if (!std::exchange(is_given_, true)) NameCall(response.add_calls());
      if (!request.serve().held().empty()) AddAck(grpc::StatusCode::OK, &response);
    }
    int events = 0;
    for (const CallUpdate& update : request.call_updates()) {
      events += update.events_size();
      AddAck(Take(update), &response);
    }
    if (events > 1) request_bytes_max_ = std::max(request_bytes_max_, request.ByteSizeLong());
    return response;
  }

  static void NameCall(auto* named) {
    named->set_call_id("a-call");
    named->set_attempt(1);
  }

  void AddAck(grpc::StatusCode code, PublishResponse* response) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    CallAck& ack = *response->add_call_acks();
    NameCall(&ack);
    ack.set_next_index(texts_.size());
    ack.set_code(code);
    if (code != grpc::StatusCode::OK) ack.set_message("refused by a test");
  }

  grpc::StatusCode Take(const CallUpdate& update) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (update.first_index() > texts_.size()) return grpc::StatusCode::OUT_OF_RANGE;
    if (const auto code = judge_(update); code != grpc::StatusCode::OK) return code;
    const auto known = static_cast<int>(texts_.size() - update.first_index());
    for (int i = known; i < update.events_size(); ++i) texts_.push_back(update.events(i).text());
    if (update.has_end()) end_ = update.end();
    return grpc::StatusCode::OK;
  }

  Judge judge_ = [](const CallUpdate&) { return grpc::StatusCode::OK; };
  grpc::StatusCode end_of_streams_ = grpc::StatusCode::OK;
  absl::Notification* breaks_at_ = nullptr;

  absl::Mutex mutex_;
  size_t streams_ ABSL_GUARDED_BY(mutex_) = 0;
  bool is_given_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::string> texts_ ABSL_GUARDED_BY(mutex_);
  std::optional<CallEnd> end_ ABSL_GUARDED_BY(mutex_);
  size_t request_bytes_max_ ABSL_GUARDED_BY(mutex_) = 0;
  const bridge::test::LoopbackGrpcServer server_{this};
};

Event TextEvent(const std::string& text) {
  Event event;
  event.set_text(text);
  return event;
}

Event NestedEvent(int levels) {
  Event event;
  google::protobuf::Value* innermost = event.mutable_json();
  for (int i = 0; i < levels; ++i) innermost = innermost->mutable_list_value()->add_values();
  innermost->set_bool_value(true);
  return event;
}

CallEnd EndWithUsage(const std::string& value) {
  CallEnd end;
  (*end.mutable_usage()->mutable_fields())["tokens"].set_string_value(value);
  return end;
}

TEST(IsWellFormedTest, TakesTheLevelsThatTheBridgeTakes) {
  Event event;
  google::protobuf::Value* innermost = event.mutable_json();
  for (int i = 0; i < 64; ++i) innermost = &(*innermost->mutable_struct_value()->mutable_fields())["žluť"];
  innermost->set_bool_value(true);
  EXPECT_TRUE(IsWellFormed(event));
  EXPECT_FALSE(IsWellFormed(NestedEvent(200)));
}

class WorkerClientTest : public ::testing::Test {
 protected:
  WorkerClient::Options Options() {
    WorkerClient::Options options;
    options.target = bridge_.target();
    options.names = {"chat"};
    options.backoff_min = absl::Milliseconds(1);
    return options;
  }

  // Has the call answered by `handler`, and returns how it has ended.
  CallEnd EndOf(const WorkerClient::Handler& handler) {
    WorkerClient worker(Options(), handler);
    const std::optional<CallEnd> end = bridge_.AwaitEnd();
    EXPECT_TRUE(end.has_value());
    EXPECT_TRUE(worker.Close(absl::Now() + kPatience).ok());
    return end.value_or(CallEnd());
  }

  FakeBridge bridge_;
};

struct BadEvent {
  std::string name;
  Event event;
};

class WorkerClientBadEventTest : public WorkerClientTest, public ::testing::WithParamInterface<BadEvent> {};

TEST_P(WorkerClientBadEventTest, EndsItsCallAndNotTheStream) {
  const CallEnd end = EndOf([](WorkerClient::Answer& answer) {
    EXPECT_TRUE(answer.Send(TextEvent("before")));
    EXPECT_FALSE(answer.Send(GetParam().event));
    EXPECT_TRUE(answer.AwaitCancel(absl::ZeroDuration()));
    EXPECT_FALSE(answer.Send(TextEvent("after")));
    return EndWithUsage("1");
  });
  EXPECT_EQ(end.code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(end.message(), HasSubstr("event"));
  EXPECT_TRUE(end.has_usage());
  EXPECT_THAT(bridge_.texts(), ElementsAre("before"));
  EXPECT_EQ(bridge_.streams(), 1U);
}

std::vector<BadEvent> BadEvents() {
  std::vector<BadEvent> events = {{.name = "TextThatIsNotUtf8", .event = TextEvent("caf\xe9")},
                                  {.name = "TooLarge", .event = TextEvent(std::string(size_t{2} << 20, 'x'))},
                                  {.name = "NestedTooDeeply", .event = NestedEvent(200)}};
  Event& named = events.emplace_back(BadEvent{.name = "MemberThatIsNotUtf8", .event = {}}).event;
  (*named.mutable_json()->mutable_struct_value()->mutable_fields())["caf\xe9"].set_bool_value(true);
  return events;
}

INSTANTIATE_TEST_SUITE_P(All, WorkerClientBadEventTest, ::testing::ValuesIn(BadEvents()),
                         [](const auto& tested) { return tested.param.name; });

TEST_F(WorkerClientTest, SendsAllThatTheBridgeMayTake) {
  const CallEnd end = EndOf([](WorkerClient::Answer& answer) {
    EXPECT_TRUE(answer.Send(NestedEvent(30)));
    EXPECT_TRUE(answer.Send(TextEvent("žluťoučký 🦄")));
    EXPECT_TRUE(answer.Send(TextEvent(std::string(size_t{1} << 19, 'x'))));
    return CallEnd();
  });
  EXPECT_EQ(end.code(), grpc::StatusCode::OK);
  EXPECT_THAT(bridge_.texts(), SizeIs(3));
}

TEST_F(WorkerClientTest, TellsOfAnEndThatCannotBeSent) {
  const CallEnd end = EndOf([](WorkerClient::Answer&) { return EndWithUsage("caf\xe9"); });
  EXPECT_EQ(end.code(), grpc::StatusCode::INTERNAL);
  EXPECT_THAT(end.message(), HasSubstr("UTF-8"));
  EXPECT_EQ(bridge_.streams(), 1U);
}

TEST_F(WorkerClientTest, ShortensAMessageBetweenTwoCharacters) {
  const CallEnd end = EndOf([](WorkerClient::Answer&) {
    CallEnd failed;
    failed.set_code(grpc::StatusCode::UNAVAILABLE);
    failed.set_message("x");
    for (int i = 0; i < 600; ++i) failed.mutable_message()->append("ä");
    return failed;
  });
  EXPECT_EQ(end.code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(end.message(), SizeIs(1023));
}

TEST_F(WorkerClientTest, LeavesOutAUsageThatIsRefused) {
  int refused = 0;
  bridge_.SetJudge([&refused](const CallUpdate& update) {
    if (!update.has_end() || !update.end().has_usage()) return grpc::StatusCode::OK;
    ++refused;
    return grpc::StatusCode::INVALID_ARGUMENT;
  });
  const CallEnd end = EndOf([](WorkerClient::Answer& answer) {
    EXPECT_TRUE(answer.Send(TextEvent("all of it")));
    return EndWithUsage("too much");
  });
  EXPECT_EQ(end.code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(end.message(), "refused by a test");
  EXPECT_THAT(bridge_.texts(), ElementsAre("all of it"));
  EXPECT_LE(refused, 2);
}

TEST_F(WorkerClientTest, SendsAgainWhatWasTooMuchForOneRequest) {
  bool was_refused = false;
  bridge_.SetJudge([&was_refused](const CallUpdate& update) {
    if (update.events().empty() || std::exchange(was_refused, true)) return grpc::StatusCode::OK;
    return grpc::StatusCode::RESOURCE_EXHAUSTED;
  });
  const CallEnd end = EndOf([](WorkerClient::Answer& answer) {
    for (int i = 0; i < 200; ++i) EXPECT_TRUE(answer.Send(TextEvent(absl::StrCat(i))));
    return CallEnd();
  });
  EXPECT_EQ(end.code(), grpc::StatusCode::OK);
  EXPECT_THAT(bridge_.texts(), SizeIs(200));
}

TEST_F(WorkerClientTest, PutsNoMoreWorkIntoOneRequestThanTheBridgeTakes) {
  absl::Notification all_sent;
  bridge_.BreakFirstStreamAt(&all_sent);
  EndOf([&all_sent](WorkerClient::Answer& answer) {
    for (int i = 0; i < 20; ++i) EXPECT_TRUE(answer.Send(TextEvent(std::string(size_t{50} << 10, 'x'))));
    EXPECT_TRUE(answer.Send(TextEvent(std::string(size_t{512} << 10, 'x'))));
    all_sent.Notify();
    return CallEnd();
  });
  EXPECT_THAT(bridge_.texts(), SizeIs(21));
  EXPECT_GT(bridge_.request_bytes_max(), size_t{0});
  EXPECT_LE(bridge_.request_bytes_max(), size_t{257} << 10);
}

TEST_F(WorkerClientTest, WaitsLongerAndLongerWhereTheBridgeDoesNotTakeWhatIsSent) {
  bridge_.EndStreamsWith(grpc::StatusCode::INVALID_ARGUMENT);
  absl::Notification waits_long;
  WorkerClient::Options options = Options();
  options.on_stream_end = [&waits_long](const grpc::Status& status, absl::Duration pause) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    if (pause > absl::Milliseconds(10) && !waits_long.HasBeenNotified()) waits_long.Notify();
  };
  const WorkerClient worker(std::move(options), [](WorkerClient::Answer&) { return CallEnd(); });
  EXPECT_TRUE(waits_long.WaitForNotificationWithTimeout(kPatience));
}

}  // namespace
}  // namespace demo
