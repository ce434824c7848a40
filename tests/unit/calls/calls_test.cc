// Calls on a log of this process, with workers that are part of the test. One or two replicas follow the same log.
#include "bridge/calls/calls.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "tests/support/answer.h"
#include "tests/support/bridge_process.h"
#include "tests/support/recording_follower.h"

#include "bridge/log/memory_log.h"

namespace bridge::calls {
namespace {

using test::Eventually;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Kind = Calls::Refusal::Kind;

// Hands what a log says to several followers.
class FanOut final : public log::Follower {
 public:
  explicit FanOut(std::vector<log::Follower*> followers) : followers_(std::move(followers)) {}
  void OnEpoch(uint64_t epoch, uint64_t head) override {
    const absl::MutexLock lock(&mutex_);
    for (log::Follower* each : followers_) {
      each->OnEpoch(epoch, head);
    }
  }
  void OnCaughtUp() override {
    const absl::MutexLock lock(&mutex_);
    for (log::Follower* each : followers_) {
      each->OnCaughtUp();
    }
  }
  Flow OnEntries(absl::Span<const log::Entry> entries) override {
    const absl::MutexLock lock(&mutex_);
    for (log::Follower* each : followers_) {
      each->OnEntries(entries);
    }
    return Flow::kContinue;
  }
  void Drop(const log::Follower* follower) {
    const absl::MutexLock lock(&mutex_);
    std::erase(followers_, follower);
  }

 private:
  absl::Mutex mutex_;
  std::vector<log::Follower*> followers_ ABSL_GUARDED_BY(mutex_);
};

// A log one of whose appends fails, as one whose store goes away does: it is in the log all the same, or it is not.
class LossyLog final : public log::EventLog {
 public:
  explicit LossyLog(std::unique_ptr<log::EventLog> inner) : inner_(std::move(inner)) {}

  enum class Fate { kKept, kLost };
  // Of the next append that has a record of that kind.
  void FailNext(log::v1::CallRecord::KindCase kind, Fate fate) {
    const absl::MutexLock lock(&mutex_);
    kind_ = kind;
    fate_ = fate;
  }
  bool HasFailed() const {
    const absl::MutexLock lock(&mutex_);
    return !fate_.has_value();
  }

  uint64_t failures() const override { return inner_->failures(); }
  using EventLog::Append;
  void Append(std::vector<log::Record> records, uint64_t failures_seen, AppendCallback done) override {
    const std::optional<Fate> fate = FateOf(records);
    if (fate == Fate::kKept) {
      inner_->Append(std::move(records), [](const auto&) {});
    }
    if (fate.has_value()) {
      done(absl::UnavailableError("the store is away"));
    } else {
      inner_->Append(std::move(records), failures_seen, std::move(done));
    }
  }
  void Follow(log::Follower* follower, const Tail& tail) override { inner_->Follow(follower, tail); }
  void ResumeFollow() override { inner_->ResumeFollow(); }
  void Read(const ReadOptions& options, ReadCallback done) override { inner_->Read(options, std::move(done)); }
  void GetBounds(BoundsCallback done) override { inner_->GetBounds(std::move(done)); }
  absl::Status health() const override { return inner_->health(); }
  Stats stats() const override { return inner_->stats(); }

 private:
  std::optional<Fate> FateOf(const std::vector<log::Record>& records) {
    const absl::MutexLock lock(&mutex_);
    const bool is_wanted = fate_.has_value() && std::ranges::any_of(records, [this](const log::Record& record) {
                             mutex_.AssertHeld();
                             return ParseCallRecord(record)->kind_case() == kind_;
                           });
    return is_wanted ? std::exchange(fate_, std::nullopt) : std::nullopt;
  }

  const std::unique_ptr<log::EventLog> inner_;
  mutable absl::Mutex mutex_;
  log::v1::CallRecord::KindCase kind_ ABSL_GUARDED_BY(mutex_) = log::v1::CallRecord::KIND_NOT_SET;
  std::optional<Fate> fate_ ABSL_GUARDED_BY(mutex_);
};

// A worker that notes what it is told.
class FakeWorker final : public WorkerStream {
 public:
  void OnCall(AssignedCall call) override {
    const absl::MutexLock lock(&mutex_);
    calls_.push_back(std::move(call));
  }
  void OnStop(const std::string& call_id, uint32_t attempt, StopReason reason) override {
    const absl::MutexLock lock(&mutex_);
    stops_.push_back({call_id, attempt, reason});
  }
  void OnAck(CallAck ack) override {
    const absl::MutexLock lock(&mutex_);
    acks_.push_back(std::move(ack));
  }
  void OnAcks(std::vector<CallAck> acks) override {
    for (CallAck& ack : acks) {
      OnAck(std::move(ack));
    }
  }
  void OnReplaced() override {
    const absl::MutexLock lock(&mutex_);
    is_replaced_ = true;
  }

  struct Stop {
    std::string call_id;
    uint32_t attempt;
    StopReason reason;
  };
  std::vector<AssignedCall> calls() const {
    const absl::MutexLock lock(&mutex_);
    return calls_;
  }
  std::vector<Stop> stops() const {
    const absl::MutexLock lock(&mutex_);
    return stops_;
  }
  std::vector<CallAck> acks() const {
    const absl::MutexLock lock(&mutex_);
    return acks_;
  }
  bool is_replaced() const {
    const absl::MutexLock lock(&mutex_);
    return is_replaced_;
  }
  bool AwaitsCalls(size_t count) const {
    return Eventually([&] { return calls().size() >= count; });
  }
  bool AwaitsStop(StopReason reason) const {
    return Eventually([&] { return !stops().empty() && stops().back().reason == reason; });
  }
  bool AwaitsAck(uint64_t next_index, absl::StatusCode code = absl::StatusCode::kOk) const {
    return Eventually([&] {
      const auto all = acks();
      return !all.empty() && all.back().next_index == next_index && all.back().status.code() == code;
    });
  }

 private:
  mutable absl::Mutex mutex_;
  std::vector<AssignedCall> calls_ ABSL_GUARDED_BY(mutex_);
  std::vector<Stop> stops_ ABSL_GUARDED_BY(mutex_);
  std::vector<CallAck> acks_ ABSL_GUARDED_BY(mutex_);
  bool is_replaced_ ABSL_GUARDED_BY(mutex_) = false;
};

// Calls of one replica.
struct Replica {
  Replica(log::EventLog* log, const Calls::Options& options) : loop("calls") {
    loop.BlockOn([&] { calls = std::make_unique<Calls>(&loop.loop(), log, &answers, options); });
  }
  ~Replica() {
    loop.BlockOn([this] { calls = nullptr; });
  }

  void Detach() {
    loop.BlockOn([this] {
      calls->loop().AssertOnLoop();
      calls->Detach();
    });
  }

  Calls::Outcome Open(CallRequest request) {
    return Await([&](Calls::Done done) { calls->Open(std::move(request), std::move(done)); });
  }
  Calls::Outcome Find(const std::string& id, const Owner& owner = {}, Calls::Access access = Calls::Access::kLook) {
    return Await([&](Calls::Done done) { calls->Find(id, owner, access, std::move(done)); });
  }
  Calls::Outcome Cancel(const std::string& id, const Owner& owner = {}) {
    return Await([&](Calls::Done done) { calls->Cancel(id, owner, std::move(done)); });
  }
  static Calls::Outcome Await(const std::function<void(Calls::Done)>& ask) {
    absl::Mutex mutex;
    std::optional<Calls::Outcome> outcome;
    ask([&](Calls::Outcome answer) {
      const absl::MutexLock lock(&mutex);
      outcome = std::move(answer);
    });
    const auto is_answered = [&outcome] { return outcome.has_value(); };
    const absl::MutexLock lock(&mutex);
    mutex.Await(absl::Condition(&is_answered));
    return *std::move(outcome);
  }

  // The data of the events that browsers get of a call.
  std::vector<std::string> Answer(const std::string& id) const {
    std::vector<std::string> data;
    for (const log::Entry& entry : answers.entries()) {
      if (entry.record.topic == id) {
        data.push_back(entry.record.data);
      }
    }
    return data;
  }
  bool AwaitsEnd(const std::string& id, absl::string_view status) {
    return Eventually([&] {
      const auto all = answers.entries();
      return std::ranges::any_of(all, [&](const log::Entry& entry) {
        return entry.record.topic == id && entry.record.type == log::kCallEndType &&
               entry.record.data.find(absl::StrCat("\"status\":\"", status, "\"")) != std::string::npos;
      });
    });
  }

  test::RecordingFollower answers;
  loop::LoopThread loop;
  std::unique_ptr<Calls> calls;
};

class CallsTest : public ::testing::Test {
 protected:
  void Start(Calls::Options options = {}, size_t replicas = 1) {
    options.has_replicas = replicas > 1;
    log_ = std::make_unique<LossyLog>(std::make_unique<log::MemoryLog>(log::MemoryLog::Options{}));
    std::vector<log::Follower*> followers;
    for (size_t i = 0; i < replicas; ++i) {
      replicas_.push_back(std::make_unique<Replica>(log_.get(), options));
      followers.push_back(replicas_.back()->calls.get());
    }
    fan_out_ = std::make_unique<FanOut>(followers);
    log_->Follow(fan_out_.get(), {});
    for (const auto& replica : replicas_) {
      ASSERT_TRUE(replica->answers.WaitUntilCaughtUp());
    }
  }
  ~CallsTest() override {
    for (const auto& each : replicas_) {
      if (each != nullptr) {
        each->Detach();
      }
    }
    log_ = nullptr;
    replicas_.clear();
  }

  Replica& replica(size_t i = 0) { return *replicas_[i]; }

  // What the log has acked; who appended it has been told.
  uint64_t NewestInLog() {
    uint64_t newest = 0;
    absl::Notification is_answered;
    log_->GetBounds([&](const absl::StatusOr<log::Bounds>& bounds) {
      newest = bounds->newest;
      is_answered.Notify();
    });
    is_answered.WaitForNotification();
    return newest;
  }

  struct Serving {
    std::shared_ptr<FakeWorker> worker = std::make_shared<FakeWorker>();
    Calls::WorkerHandle handle;
    Calls* calls = nullptr;

    void Update(CallUpdate update) const {
      calls->Update(handle, {std::move(update)}, [] {});
    }
    void Send(const std::string& id, uint64_t index, const std::vector<std::string>& tokens, uint32_t attempt = 1) {
      CallUpdate update{.call_id = id, .attempt = attempt, .first_index = index};
      for (const std::string& token : tokens) {
        update.events.push_back({.type = "", .data = token, .retry = {}});
      }
      Update(std::move(update));
    }
    void End(const std::string& id, uint64_t index, int32_t code = 0, uint32_t attempt = 1) {
      CallUpdate update{.call_id = id, .attempt = attempt, .first_index = index};
      update.has_end = true;
      update.end = {.code = code, .message = "", .usage = R"({"output_tokens":2})"};
      Update(std::move(update));
    }
  };
  Serving AddWorker(uint32_t concurrent, const std::string& worker_id = "w1", size_t on = 0,
                    std::vector<Serve::Held> held = {}) {
    Serving serving;
    serving.calls = replica(on).calls.get();
    serving.handle = serving.calls->AddWorker(serving.worker, "team");
    serving.calls->SetServe(
        serving.handle,
        {.worker_id = worker_id, .names = {"chat"}, .max_concurrent = concurrent, .held = std::move(held)});
    return serving;
  }
  static CallRequest Chat(const std::string& body = "hello") {
    return {.name = "chat",
            .body = body,
            .content_type = "text/plain",
            .owner = {},
            .metadata = {},
            .timeout = absl::Minutes(10),
            .idempotency_key = "",
            .address = ""};
  }
  // REQUIRES: it is opened. With its reader.
  Calls::View Opened(CallRequest request, size_t on = 0) {
    Calls::Outcome outcome = replica(on).Open(std::move(request));
    if (const auto* refusal = std::get_if<Calls::Refusal>(&outcome)) {
      ADD_FAILURE() << refusal->message;
      return {};
    }
    return std::get<Calls::View>(std::move(outcome));
  }
  static Kind KindOf(const Calls::Outcome& outcome) {
    const auto* refusal = std::get_if<Calls::Refusal>(&outcome);
    return refusal == nullptr ? Kind{-1} : refusal->kind;
  }

  // What another replica writes.
  void Write(log::Record record) {
    std::vector<log::Record> records;
    records.push_back(std::move(record));
    test::Answer<std::vector<log::Appended>> appended;
    log_->Append(std::move(records), appended.Callback());
    ASSERT_TRUE(appended.Wait().ok());
  }
  // Where its presence tells that it serves the name.
  Calls::View OpenedWhereSeen(const CallRequest& request, size_t on) {
    std::optional<Calls::View> view;
    EXPECT_TRUE(Eventually([&] {
      Calls::Outcome outcome = replica(on).Open(request);
      if (auto* const opened = std::get_if<Calls::View>(&outcome)) {
        view = std::move(*opened);
      }
      return view.has_value();
    }));
    return view.has_value() ? *std::move(view) : Calls::View();
  }

  std::unique_ptr<LossyLog> log_;
  std::unique_ptr<FanOut> fan_out_;
  std::vector<std::unique_ptr<Replica>> replicas_;
};

TEST_F(CallsTest, IsAnsweredByAWorker) {
  Start();
  Serving serving = AddWorker(1);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  const AssignedCall given = serving.worker->calls()[0];
  EXPECT_EQ(given.id, call.id);
  EXPECT_EQ(given.body, "hello");
  EXPECT_GT(given.timeout, absl::Minutes(9));
  serving.Send(call.id, 0, {"a", "b"});
  EXPECT_TRUE(serving.worker->AwaitsAck(2));
  serving.End(call.id, 2);
  EXPECT_TRUE(replica().AwaitsEnd(call.id, "ok"));
  const std::vector<std::string> answer = replica().Answer(call.id);
  ASSERT_EQ(answer.size(), 3U);
  EXPECT_EQ(answer[0], "a");
  EXPECT_EQ(answer[1], "b");
  EXPECT_THAT(answer[2], HasSubstr(R"("usage":{"output_tokens":2)"));
  EXPECT_EQ(replica().calls->metrics().open.value(), 0U);
}

TEST_F(CallsTest, IsRefusedWhereNobodyServesIt) {
  Start();
  EXPECT_EQ(KindOf(replica().Open(Chat())), Kind::kNoWorker);
}

TEST_F(CallsTest, WaitsForAWorkerThatIsFree) {
  Start({.queue_timeout = absl::Milliseconds(300)});
  Serving serving = AddWorker(1);
  const Calls::View first = Opened(Chat());
  const Calls::View second = Opened(Chat());
  const Calls::View third = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  serving.End(first.id, 0);
  ASSERT_TRUE(serving.worker->AwaitsCalls(2));
  EXPECT_EQ(serving.worker->calls()[1].id, second.id);
  EXPECT_TRUE(replica().AwaitsEnd(third.id, "no_worker"));
}

TEST_F(CallsTest, IsCancelledByItsOwnerAlone) {
  Start({.cancel_timeout = absl::Seconds(20)});
  Serving serving = AddWorker(1);
  CallRequest request = Chat();
  request.owner = {.issuer = "id", .subject = "ann"};
  const Calls::View call = Opened(std::move(request));
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  EXPECT_EQ(KindOf(replica().Cancel(call.id)), Kind::kNotFound);
  EXPECT_EQ(KindOf(replica().Find(call.id, {.issuer = "id", .subject = "bob"})), Kind::kNotFound);
  const Owner ann = {.issuer = "id", .subject = "ann"};
  EXPECT_TRUE(std::holds_alternative<Calls::View>(replica().Cancel(call.id, ann)));
  ASSERT_TRUE(serving.worker->AwaitsStop(StopReason::kClient));
  serving.Send(call.id, 0, {"last"});
  serving.End(call.id, 1);
  EXPECT_TRUE(replica().AwaitsEnd(call.id, "cancelled"));
  EXPECT_THAT(replica().Answer(call.id).back(), HasSubstr("output_tokens"));
}

TEST_F(CallsTest, EndsWhereAWorkerDoesNotHeedItsCancel) {
  Start({.cancel_timeout = absl::Milliseconds(100)});
  Serving serving = AddWorker(1);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  replica().Cancel(call.id);
  EXPECT_TRUE(replica().AwaitsEnd(call.id, "cancelled"));
  serving.Send(call.id, 0, {"late"});
  EXPECT_TRUE(serving.worker->AwaitsAck(0, absl::StatusCode::kAborted));
}

TEST_F(CallsTest, IsAbandonedWhenNobodyReadsIt) {
  Start({.grace = absl::Milliseconds(100)});
  Serving serving = AddWorker(1);
  std::string id;
  {
    const Calls::View call = Opened(Chat());
    id = call.id;
    ASSERT_TRUE(serving.worker->AwaitsCalls(1));
    absl::SleepFor(absl::Milliseconds(300));  // it is read all the time
    EXPECT_THAT(serving.worker->stops(), IsEmpty());
  }
  EXPECT_TRUE(serving.worker->AwaitsStop(StopReason::kAbandoned));
  serving.End(id, 0);
  EXPECT_TRUE(replica().AwaitsEnd(id, "abandoned"));
}

TEST_F(CallsTest, GoesOnWhereItsReaderComesBackInTime) {
  Start({.grace = absl::Seconds(30)});
  Serving serving = AddWorker(1);
  const std::string id = Opened(Chat()).id;
  const Calls::Outcome again = replica().Find(id, {}, Calls::Access::kRead);
  ASSERT_TRUE(std::holds_alternative<Calls::View>(again));
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  serving.End(id, 0);
  EXPECT_TRUE(replica().AwaitsEnd(id, "ok"));
}

TEST_F(CallsTest, StopsAtOnceWhereTheRequestSaysSo) {
  Start();
  Serving serving = AddWorker(1);
  CallRequest request = Chat();
  request.on_disconnect = OnDisconnect::kCancel;
  Opened(std::move(request));
  EXPECT_TRUE(serving.worker->AwaitsStop(StopReason::kAbandoned));
}

TEST_F(CallsTest, GoesOnUnreadWhereTheRequestSaysSo) {
  Start({.grace = absl::Milliseconds(50)});
  Serving serving = AddWorker(1);
  CallRequest request = Chat();
  request.on_disconnect = OnDisconnect::kContinue;
  const std::string id = Opened(std::move(request)).id;
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  absl::SleepFor(absl::Milliseconds(300));  // several times the grace
  EXPECT_THAT(serving.worker->stops(), IsEmpty());
  serving.End(id, 0);
  EXPECT_TRUE(replica().AwaitsEnd(id, "ok"));
}

TEST_F(CallsTest, EndsAtItsDeadlines) {
  Start({.first_event_timeout = absl::Milliseconds(100),
         .idle_timeout = absl::Milliseconds(100),
         .cancel_timeout = absl::Milliseconds(50)});
  Serving serving = AddWorker(10);
  CallRequest brief = Chat();
  brief.timeout = absl::Milliseconds(50);
  const Calls::View too_long = Opened(std::move(brief));
  EXPECT_TRUE(replica().AwaitsEnd(too_long.id, "deadline"));
  const Calls::View silent = Opened(Chat());
  EXPECT_TRUE(replica().AwaitsEnd(silent.id, "deadline"));
  EXPECT_THAT(replica().Answer(silent.id).back(), HasSubstr("first_event_timeout"));
  const Calls::View stuck = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(3));
  serving.Send(stuck.id, 0, {"a"});
  EXPECT_TRUE(replica().AwaitsEnd(stuck.id, "deadline"));
  EXPECT_THAT(replica().Answer(stuck.id).back(), HasSubstr("idle_timeout"));
}

TEST_F(CallsTest, IsCutWhereItsAnswerIsTooLarge) {
  Start({.cancel_timeout = absl::Milliseconds(50), .answer_bytes_max = 10});
  Serving serving = AddWorker(1);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  serving.Send(call.id, 0, {"12345", "12345", "1"});
  EXPECT_TRUE(serving.worker->AwaitsStop(StopReason::kLimit));
  EXPECT_TRUE(replica().AwaitsEnd(call.id, "limit"));
  EXPECT_EQ(replica().Answer(call.id).size(), 3U);
}

TEST_F(CallsTest, KeepsAnUpdateUpToItsFirstBadEvent) {
  Start();
  Serving serving = AddWorker(1);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  CallUpdate update{.call_id = call.id, .attempt = 1, .first_index = 0};
  update.events.push_back({.type = "", .data = "good", .retry = {}});
  update.rejected = absl::InvalidArgumentError("bad");
  serving.Update(std::move(update));
  EXPECT_TRUE(serving.worker->AwaitsAck(1));
  EXPECT_THAT(replica().Answer(call.id), ElementsAre("good"));
  EXPECT_TRUE(std::ranges::any_of(serving.worker->acks(), [](const CallAck& ack) {
    return ack.status.code() == absl::StatusCode::kInvalidArgument;
  }));
}

TEST_F(CallsTest, KeepsWhatIsSentTwiceOnceAndTellsOfAHole) {
  Start();
  Serving serving = AddWorker(1);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  serving.Send(call.id, 0, {"a", "b"});
  serving.Send(call.id, 0, {"a", "b", "c"});
  EXPECT_TRUE(serving.worker->AwaitsAck(3));
  serving.Send(call.id, 5, {"f"});
  EXPECT_TRUE(serving.worker->AwaitsAck(3, absl::StatusCode::kOutOfRange));
  EXPECT_THAT(replica().Answer(call.id), ElementsAre("a", "b", "c"));
}

TEST_F(CallsTest, AreAnsweredTogetherAndOneThatIsNotHeldHarmsNoOther) {
  Start();
  Serving serving = AddWorker(2);
  const Calls::View first = Opened(Chat());
  const Calls::View second = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(2));
  const auto token = [](const std::string& id, uint64_t index, const std::string& data) {
    CallUpdate update{.call_id = id, .attempt = 1, .first_index = index};
    update.events.push_back({.type = "", .data = data, .retry = {}});
    return update;
  };
  std::vector<CallUpdate> updates = {token(first.id, 0, "a"), token(RandomCallId(), 0, "forged"),
                                     token(second.id, 0, "x"), token(first.id, 1, "b")};
  updates[2].has_end = true;
  absl::Notification taken;
  serving.calls->Update(serving.handle, std::move(updates), [&taken] { taken.Notify(); });
  EXPECT_TRUE(taken.WaitForNotificationWithTimeout(absl::Seconds(10)));
  EXPECT_TRUE(replica().AwaitsEnd(second.id, "ok"));
  EXPECT_THAT(replica().Answer(first.id), ElementsAre("a", "b"));
  const auto acked = [&](const std::string& id, uint64_t next_index, absl::StatusCode code) {
    return Eventually([&] {
      return std::ranges::any_of(serving.worker->acks(), [&](const CallAck& ack) {
        return (id.empty() || ack.id == id) && ack.next_index == next_index && ack.status.code() == code;
      });
    });
  };
  EXPECT_TRUE(acked(first.id, 2, absl::StatusCode::kOk));
  EXPECT_TRUE(acked(second.id, 1, absl::StatusCode::kOk));
  EXPECT_TRUE(acked("", 0, absl::StatusCode::kNotFound));
}

TEST_F(CallsTest, IsNotAnsweredByAWorkerThatDoesNotHaveIt) {
  Start();
  Serving serving = AddWorker(1);
  Serving other = AddWorker(0, "w2");
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  other.Send(call.id, 0, {"forged"});
  EXPECT_TRUE(other.worker->AwaitsAck(0, absl::StatusCode::kAborted));
  other.Send(RandomCallId(), 0, {"forged"});
  EXPECT_TRUE(other.worker->AwaitsAck(0, absl::StatusCode::kNotFound));
  EXPECT_THAT(replica().Answer(call.id), IsEmpty());
}

TEST_F(CallsTest, IsKeptByAWorkerThatComesBack) {
  Start();
  Serving before = AddWorker(1);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(before.worker->AwaitsCalls(1));
  before.Send(call.id, 0, {"a", "b"});
  ASSERT_TRUE(before.worker->AwaitsAck(2));
  before.calls->RemoveWorker(before.handle, Calls::Leave::kBroken);
  Serving after = AddWorker(1, "w1", 0, {{.call_id = call.id, .attempt = 1}});
  ASSERT_TRUE(after.worker->AwaitsAck(2));
  after.Send(call.id, 1, {"b", "c"});
  after.End(call.id, 3);
  EXPECT_TRUE(replica().AwaitsEnd(call.id, "ok"));
  EXPECT_EQ(replica().Answer(call.id).size(), 4U);
}

TEST_F(CallsTest, IsTakenOverByANewerStreamOfItsWorker) {
  Start();
  Serving before = AddWorker(1);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(before.worker->AwaitsCalls(1));
  Serving after = AddWorker(1, "w1", 0, {{.call_id = call.id, .attempt = 1}});
  ASSERT_TRUE(after.worker->AwaitsAck(0));
  EXPECT_TRUE(before.worker->is_replaced());
  after.End(call.id, 0);
  EXPECT_TRUE(replica().AwaitsEnd(call.id, "ok"));
}

TEST_F(CallsTest, IsGivenToAnotherWorkerWhereTheFirstIsLostBeforeAnEvent) {
  Start({.worker_grace = absl::Milliseconds(100)});
  Serving first = AddWorker(1);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(first.worker->AwaitsCalls(1));
  Serving second = AddWorker(1, "w2");
  first.calls->RemoveWorker(first.handle, Calls::Leave::kBroken);
  ASSERT_TRUE(second.worker->AwaitsCalls(1));
  EXPECT_EQ(second.worker->calls()[0].attempt, 2U);
  EXPECT_EQ(second.worker->calls()[0].body, "hello");
  second.End(call.id, 0, 0, 2);
  EXPECT_TRUE(replica().AwaitsEnd(call.id, "ok"));
}

TEST_F(CallsTest, EndsWhereItsWorkerIsLostAfterAnEvent) {
  Start({.worker_grace = absl::Milliseconds(100)});
  Serving first = AddWorker(1);
  Serving second = AddWorker(0, "w2");
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(first.worker->AwaitsCalls(1));
  first.Send(call.id, 0, {"a"});
  ASSERT_TRUE(first.worker->AwaitsAck(1));
  first.calls->RemoveWorker(first.handle, Calls::Leave::kBroken);
  EXPECT_TRUE(replica().AwaitsEnd(call.id, "worker_lost"));
}

TEST_F(CallsTest, IsHandedBackByAHalfCloseAndByUnavailable) {
  Start({.attempts_max = 3});
  Serving first = AddWorker(1);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(first.worker->AwaitsCalls(1));
  Serving second = AddWorker(1, "w2");
  first.calls->RemoveWorker(first.handle, Calls::Leave::kHandsBack);
  ASSERT_TRUE(second.worker->AwaitsCalls(1));
  Serving third = AddWorker(1, "w3");
  second.End(call.id, 0, /*UNAVAILABLE*/ 14, 2);
  ASSERT_TRUE(third.worker->AwaitsCalls(1));
  EXPECT_EQ(third.worker->calls()[0].attempt, 3U);
  third.End(call.id, 0, 14, 3);
  EXPECT_TRUE(replica().AwaitsEnd(call.id, "worker_lost"));
}

TEST_F(CallsTest, TellsAWorkerOfCallsThatAreNotItsOwn) {
  Start();
  Serving serving = AddWorker(1, "w1", 0, {{.call_id = RandomCallId(), .attempt = 1}});
  EXPECT_TRUE(serving.worker->AwaitsStop(StopReason::kLost));
}

TEST_F(CallsTest, GetsNoNewCallsWhereItWantsNone) {
  Start();
  Serving serving = AddWorker(2);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  serving.calls->SetServe(serving.handle, {.worker_id = "w1", .names = {"chat"}, .max_concurrent = 0, .held = {}});
  EXPECT_TRUE(Eventually([&] { return KindOf(replica().Open(Chat())) == Kind::kNoWorker; }));
  serving.End(call.id, 0);
  EXPECT_TRUE(replica().AwaitsEnd(call.id, "ok"));
}

TEST_F(CallsTest, IsJoinedByItsIdempotencyKey) {
  Start();
  Serving serving = AddWorker(2);
  CallRequest request = Chat();
  request.idempotency_key = "once";
  const Calls::View first = Opened(request);
  const Calls::View second = Opened(request);
  EXPECT_EQ(first.id, second.id);
  EXPECT_TRUE(second.is_joined);
  CallRequest other_body = request;
  other_body.body = "something else";
  EXPECT_EQ(KindOf(replica().Open(other_body)), Kind::kOtherBody);
  CallRequest other_owner = request;
  other_owner.owner = {.issuer = "id", .subject = "ann"};
  EXPECT_NE(Opened(other_owner).id, first.id);
}

TEST_F(CallsTest, IsAnotherCallWhenItsKeyIsOld) {
  Start({.history = absl::Milliseconds(100)});
  Serving serving = AddWorker(2);
  CallRequest request = Chat();
  request.idempotency_key = "once";
  const Calls::View first = Opened(request);
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  serving.End(first.id, 0);
  ASSERT_TRUE(replica().AwaitsEnd(first.id, "ok"));
  EXPECT_TRUE(Eventually([&] { return Opened(request).id != first.id; }));
  EXPECT_TRUE(std::holds_alternative<Calls::View>(replica().Find(first.id))) << "its answer can still be read";
}

TEST_F(CallsTest, HasLimitsPerSubjectAndAddressAndInAll) {
  Start({.open_max = 4, .calls_per_subject = 1, .calls_per_address = 2});
  Serving serving = AddWorker(10);
  CallRequest ann = Chat();
  ann.owner = {.issuer = "id", .subject = "ann"};
  const Calls::View first = Opened(ann);
  EXPECT_EQ(KindOf(replica().Open(ann)), Kind::kSubjectFull);
  CallRequest there = Chat();
  there.address = "192.0.2.1";
  const Calls::View second = Opened(there);
  const Calls::View third = Opened(there);
  EXPECT_EQ(KindOf(replica().Open(there)), Kind::kAddressFull);
  const Calls::View fourth = Opened(Chat());
  EXPECT_EQ(KindOf(replica().Open(Chat())), Kind::kOverloaded);
  ASSERT_TRUE(serving.worker->AwaitsCalls(4));
  serving.End(first.id, 0);
  ASSERT_TRUE(replica().AwaitsEnd(first.id, "ok"));
  Opened(ann);
}

TEST_F(CallsTest, HasLimitsOfReadersAndOfRoom) {
  Start({.readers_per_call = 2, .log_bytes_max = 2000});
  Serving serving = AddWorker(10);
  const Calls::View call = Opened(Chat());
  const Calls::Outcome second = replica().Find(call.id, {}, Calls::Access::kRead);
  EXPECT_EQ(KindOf(replica().Find(call.id, {}, Calls::Access::kRead)), Kind::kReadersFull);
  EXPECT_EQ(KindOf(replica().Open(Chat(std::string(3000, 'x')))), Kind::kOverloaded);
}

TEST_F(CallsTest, IsForgottenSomeTimeAfterItsEnd) {
  Start({.max_duration = absl::Milliseconds(300), .history = absl::Milliseconds(100)});
  Serving serving = AddWorker(1);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  serving.End(call.id, 0);
  ASSERT_TRUE(replica().AwaitsEnd(call.id, "ok"));
  EXPECT_TRUE(Eventually([&] { return KindOf(replica().Find(call.id)) == Kind::kNotFound; }));
  EXPECT_EQ(replica().calls->metrics().log_bytes.value(), 0U);
}

TEST_F(CallsTest, AreEndedByADrainAtTheEndOfItsWindow) {
  Start();
  Serving serving = AddWorker(2);
  const Calls::View first = Opened(Chat());
  const Calls::View second = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(2));
  absl::Notification drained;
  replica().calls->Drain(absl::Milliseconds(300), [&] { drained.Notify(); });
  EXPECT_EQ(KindOf(replica().Open(Chat())), Kind::kDraining);
  serving.End(first.id, 0);
  EXPECT_TRUE(replica().AwaitsEnd(first.id, "ok"));
  EXPECT_TRUE(serving.worker->AwaitsStop(StopReason::kLost));
  EXPECT_TRUE(replica().AwaitsEnd(second.id, "lost"));
  drained.WaitForNotification();
}

TEST_F(CallsTest, AreLostWithTheirLogAndNewOnesAreMade) {
  Start();
  Serving serving = AddWorker(1);
  const Calls::View call = Opened(Chat());
  const Calls::View waits = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  fan_out_->OnEpoch(/*epoch=*/99, /*head=*/2);
  fan_out_->OnCaughtUp();
  EXPECT_TRUE(serving.worker->AwaitsStop(StopReason::kLost));
  EXPECT_EQ(KindOf(replica().Find(call.id)), Kind::kNotFound);
  EXPECT_EQ(KindOf(replica().Find(waits.id)), Kind::kNotFound);
  EXPECT_EQ(replica().calls->metrics().open.value(), 0U);
  const Calls::View next = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(2));
  EXPECT_EQ(serving.worker->calls()[1].id, next.id);
  EXPECT_EQ(next.opened.epoch, 99U);
}

TEST_F(CallsTest, GivesCallsToTheNextStreamOfAWorkerThatLeaves) {
  Start();
  Serving first = AddWorker(1);
  first.calls->NoteLeaving(first.handle);
  const Calls::View call = Opened(Chat());
  replica().Find(call.id);  // by then it would have been claimed
  EXPECT_EQ(NewestInLog(), 1U);
  Serving second = AddWorker(1);
  ASSERT_TRUE(second.worker->AwaitsCalls(1));
  EXPECT_EQ(second.worker->calls().front().attempt, 1);
  EXPECT_THAT(first.worker->calls(), IsEmpty());
}

TEST_F(CallsTest, HasTakenARequestWhenItsEventsHaveBeenFollowedAndAcked) {
  Start();
  Serving serving = AddWorker(1);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  // What the log holds is not followed while answers stall.
  replica().answers.StallAt(1);
  serving.Send(call.id, 0, {"a"});
  ASSERT_TRUE(serving.worker->AwaitsAck(1));
  std::atomic<uint64_t> acked_when_taken = 0;
  std::vector<CallUpdate> updates;
  updates.push_back(
      {.call_id = call.id, .attempt = 1, .first_index = 1, .events = {{.type = "", .data = "b", .retry = {}}}});
  serving.calls->Update(serving.handle, std::move(updates),
                        [&] { acked_when_taken = serving.worker->acks().back().next_index; });
  constexpr uint64_t kRecords = 4;  // open, claim, a, b
  ASSERT_TRUE(Eventually([&] { return NewestInLog() == kRecords; }));
  replica().Find(call.id);  // the loop has heard from the log
  EXPECT_EQ(acked_when_taken, 0);
  replica().answers.NeverStall();
  replica().answers.NoteResume();
  serving.calls->ResumeAnswers();
  EXPECT_TRUE(Eventually([&] { return acked_when_taken == 2; }));
}

TEST_F(CallsTest, IsCaughtUpWithWhenWhatCameBeforeHasBeenTaken) {
  // Handed over by the test, to one whose answers stall.
  log_ = std::make_unique<LossyLog>(std::make_unique<log::MemoryLog>(log::MemoryLog::Options{}));
  replicas_.push_back(std::make_unique<Replica>(log_.get(), Calls::Options()));
  Calls& calls = *replica().calls;
  uint64_t sequence = 0;
  const auto hand_over = [&](log::Record record) {
    const log::Entry entry{.sequence = ++sequence, .record = std::move(record), .received = {}};
    calls.OnEntries(absl::MakeConstSpan(&entry, 1));
  };
  const std::string first = RandomCallId();
  const std::string second = RandomCallId();
  replica().answers.StallAt(1);
  calls.OnEpoch(1, 0);
  hand_over(OpenRecord(first, Chat(), "another"));
  hand_over(EndRecord(first, {.status = EndStatus::kNoWorker}));
  hand_over(OpenRecord(second, Chat(), "another"));
  calls.OnCaughtUp();
  EXPECT_EQ(KindOf(replica().Open(Chat())), Kind::kStarting);
  EXPECT_EQ(KindOf(replica().Find(second)), Kind::kNotFound);
  replica().answers.NeverStall();
  replica().answers.NoteResume();
  calls.ResumeAnswers();
  EXPECT_EQ(KindOf(replica().Open(Chat())), Kind::kNoWorker);
  EXPECT_TRUE(std::holds_alternative<Calls::View>(replica().Find(second)));
}

// --- Two replicas.

TEST_F(CallsTest, IsAnsweredByAWorkerOfAnotherReplica) {
  Start({}, 2);
  Serving serving = AddWorker(1, "w1", 1);
  ASSERT_TRUE(Eventually([&] {
    Calls::Outcome outcome = replica(0).Open(Chat());
    return std::holds_alternative<Calls::View>(outcome);
  }));
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  const std::string id = serving.worker->calls()[0].id;
  serving.Send(id, 0, {"a"});
  ASSERT_TRUE(serving.worker->AwaitsAck(1));
  EXPECT_TRUE(Eventually([&] { return replica(0).Answer(id).size() == 1; }));
}

TEST_F(CallsTest, IsGivenToOneWorkerByTwoReplicas) {
  Start({}, 2);
  std::vector<Serving> workers = {AddWorker(50, "w1", 0), AddWorker(50, "w2", 1)};
  std::vector<Calls::View> calls;
  for (int i = 0; i < 60; ++i) {
    calls.push_back(Opened(Chat(), static_cast<size_t>(i % 2)));
  }
  const auto given = [&] { return workers[0].worker->calls().size() + workers[1].worker->calls().size(); };
  EXPECT_TRUE(Eventually([&] { return given() == calls.size(); }));
  std::map<std::string, int> times;
  for (const Serving& each : workers) {
    for (const AssignedCall& call : each.worker->calls()) {
      ++times[call.id];
    }
  }
  EXPECT_EQ(times.size(), calls.size());
}

TEST_F(CallsTest, MovesWithItsWorkerBetweenReplicas) {
  Start({}, 2);
  Serving before = AddWorker(1, "w1", 0);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(before.worker->AwaitsCalls(1));
  before.Send(call.id, 0, {"a"});
  ASSERT_TRUE(before.worker->AwaitsAck(1));
  Serving after = AddWorker(1, "w1", 1, {{.call_id = call.id, .attempt = 1}});
  ASSERT_TRUE(after.worker->AwaitsAck(1));
  EXPECT_TRUE(Eventually([&] { return before.worker->is_replaced(); }));
  after.Send(call.id, 1, {"b"});
  after.End(call.id, 2);
  EXPECT_TRUE(replica(0).AwaitsEnd(call.id, "ok"));
  EXPECT_EQ(replica(0).Answer(call.id).size(), 3U);
}

TEST_F(CallsTest, IsReadOnAnyReplica) {
  Start({.grace = absl::Milliseconds(1500)}, 2);
  Serving serving = AddWorker(1, "w1", 0);
  Calls::View call = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  const Calls::Outcome elsewhere = replica(1).Find(call.id, {}, Calls::Access::kRead);
  ASSERT_TRUE(std::holds_alternative<Calls::View>(elsewhere));
  call.reader = {};
  absl::SleepFor(absl::Milliseconds(2500));  // longer than the grace
  EXPECT_THAT(serving.worker->stops(), IsEmpty());
}

TEST_F(CallsTest, IsOneCallWhereItsKeyComesToTwoReplicasAtOnce) {
  Start({}, 2);
  std::vector<Serving> workers = {AddWorker(50, "w1", 0), AddWorker(50, "w2", 1)};
  for (int i = 0; i < 20; ++i) {
    CallRequest request = Chat();
    request.idempotency_key = absl::StrCat("key ", i);
    std::vector<std::string> ids(2);
    std::vector<std::thread> both;
    for (size_t on = 0; on < 2; ++on) {
      both.emplace_back([&, on] { ids[on] = Opened(request, on).id; });
    }
    for (std::thread& each : both) {
      each.join();
    }
    EXPECT_EQ(ids[0], ids[1]);
  }
}

TEST_F(CallsTest, IsStoppedAtOnceWhereItsLastReaderLeavesAnotherReplicaThanItsWorkers) {
  Start({.grace = absl::Seconds(60)}, 2);
  Serving serving = AddWorker(1, "w1", 1);
  CallRequest request = Chat();
  request.on_disconnect = OnDisconnect::kCancel;
  Calls::View call = OpenedWhereSeen(request, 0);
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  absl::SleepFor(absl::Milliseconds(500));  // it is read all the time
  EXPECT_THAT(serving.worker->stops(), IsEmpty());
  call.reader = {};
  EXPECT_TRUE(serving.worker->AwaitsStop(StopReason::kAbandoned));
}

TEST_F(CallsTest, IsGivenToTheWorkerOfAClaimThatSeemedToFail) {
  Start({}, 2);
  Serving serving = AddWorker(1);
  log_->FailNext(log::v1::CallRecord::kClaim, LossyLog::Fate::kKept);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  EXPECT_TRUE(log_->HasFailed());
  serving.End(call.id, 0);
  EXPECT_TRUE(replica().AwaitsEnd(call.id, "ok"));
  EXPECT_EQ(serving.worker->calls().size(), 1U);
}

TEST_F(CallsTest, IsClaimedAgainByAnotherReplicaThanItsOwnAfterAFailure) {
  Start({}, 2);
  Serving serving = AddWorker(1, "w1", 1);
  ASSERT_TRUE(Eventually([&] { return KindOf(replica(0).Open(Chat())) != Kind::kNoWorker; }));
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  serving.End(serving.worker->calls()[0].id, 0);
  log_->FailNext(log::v1::CallRecord::kClaim, LossyLog::Fate::kLost);
  const Calls::View call = Opened(Chat(), 0);
  ASSERT_TRUE(serving.worker->AwaitsCalls(2));
  EXPECT_TRUE(log_->HasFailed());
}

TEST_F(CallsTest, MovesWithItsWorkerWhereTheFirstClaimIsLost) {
  Start({.worker_grace = absl::Seconds(1)}, 2);
  Serving before = AddWorker(1, "w1", 0);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(before.worker->AwaitsCalls(1));
  before.Send(call.id, 0, {"a"});
  ASSERT_TRUE(before.worker->AwaitsAck(1));
  log_->FailNext(log::v1::CallRecord::kClaim, LossyLog::Fate::kLost);
  Serving after = AddWorker(1, "w1", 1, {{.call_id = call.id, .attempt = 1}});
  ASSERT_TRUE(after.worker->AwaitsAck(1));
  EXPECT_TRUE(log_->HasFailed());
  after.End(call.id, 1);
  EXPECT_TRUE(replica(0).AwaitsEnd(call.id, "ok"));
}

TEST_F(CallsTest, TellsAWorkerThatComesWithACallWhichEndsMeanwhile) {
  Start({}, 2);
  Serving before = AddWorker(1, "w1", 0);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(before.worker->AwaitsCalls(1));
  log_->FailNext(log::v1::CallRecord::kClaim, LossyLog::Fate::kLost);
  Serving after = AddWorker(1, "w1", 1, {{.call_id = call.id, .attempt = 1}});
  ASSERT_TRUE(Eventually([&] { return log_->HasFailed(); }));
  Write(EndRecord(call.id, {.status = EndStatus::kDeadline}));
  EXPECT_TRUE(after.worker->AwaitsStop(StopReason::kLost));
}

TEST_F(CallsTest, StaysWithTheNewerStreamWhereAClaimForAnOlderOneComesLate) {
  Start({}, 2);
  Serving serving = AddWorker(1, "w1", 0);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  log::v1::CallClaim late;
  late.set_attempt(1);
  late.set_worker("team\nw1");
  late.set_replica("another");
  late.set_stream(1);
  Write(ClaimRecord(call.id, late));
  serving.Send(call.id, 0, {"a"});
  EXPECT_TRUE(serving.worker->AwaitsAck(1));
  // Nor does it end for a call that only the other replica has given it.
  const std::string other = RandomCallId();
  Write(OpenRecord(other, Chat(), "another"));
  Write(ClaimRecord(other, late));
  serving.Send(call.id, 1, {"b"});
  EXPECT_TRUE(serving.worker->AwaitsAck(2));
  EXPECT_FALSE(serving.worker->is_replaced());
}

TEST_F(CallsTest, TellsAWorkerThatItsCallIsGivenToAnother) {
  Start({}, 2);
  Serving serving = AddWorker(1, "w1", 0);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  Write(ReleaseRecord(call.id, 1, /*turn=*/1));
  ASSERT_TRUE(serving.worker->AwaitsStop(StopReason::kLost));
  EXPECT_EQ(serving.worker->stops()[0].attempt, 1U);
}

TEST_F(CallsTest, IsAbandonedWhereTheReplicaOfItsReaderIsGone) {
  Start({.grace = absl::Milliseconds(100)}, 2);
  Serving serving = AddWorker(1, "w1", 0);
  Calls::View call = OpenedWhereSeen(Chat(), 1);
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  fan_out_->Drop(replica(1).calls.get());
  replica(1).Detach();
  EXPECT_TRUE(serving.worker->AwaitsStop(StopReason::kAbandoned));
  call.reader = {};
  replicas_[1] = nullptr;
}

TEST_F(CallsTest, CountsNoTimeInWhichTheProcessStoodStill) {
  Start({.grace = absl::Seconds(3)});
  Serving serving = AddWorker(1);
  const std::string id = Opened(Chat()).id;
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  replica().loop.BlockOn([] { absl::SleepFor(absl::Seconds(3)); });  // as one that was stopped does
  absl::SleepFor(absl::Milliseconds(100));                           // its timers have fired since then
  EXPECT_THAT(serving.worker->stops(), IsEmpty());
  EXPECT_TRUE(serving.worker->AwaitsStop(StopReason::kAbandoned));
}

TEST_F(CallsTest, IsSeenToByAnotherReplicaWhenItsOwnIsGone) {
  Start({.grace = absl::Seconds(60), .worker_grace = absl::Milliseconds(200)}, 2);
  Serving first = AddWorker(1, "w1", 0);
  Serving second = AddWorker(0, "w2", 1);
  ASSERT_TRUE(Eventually([&] { return std::holds_alternative<Calls::View>(replica(1).Open(Chat())); }));
  ASSERT_TRUE(first.worker->AwaitsCalls(1));
  second.calls->SetServe(second.handle, {.worker_id = "w2", .names = {"chat"}, .max_concurrent = 10, .held = {}});
  fan_out_->Drop(replica(0).calls.get());
  replica(0).Detach();
  replicas_[0] = nullptr;
  ASSERT_TRUE(Eventually([&] { return second.worker->calls().size() == 1; }, absl::Seconds(20)));
  EXPECT_EQ(second.worker->calls()[0].attempt, 2U);
}

}  // namespace
}  // namespace bridge::calls
