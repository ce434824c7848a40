#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "tests/support/answer.h"
#include "tests/support/bridge_process.h"
#include "tests/support/recording_follower.h"

#include "bridge/calls/calls.h"
#include "bridge/log/memory_log.h"
#include "bridge/loop/event_loop.h"

// Calls on a log of this process, with workers that are part of the test. One or two replicas follow the same log.
namespace bridge::calls {

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
  void OnGap(uint64_t head, Missing why) override {
    const absl::MutexLock lock(&mutex_);
    for (log::Follower* each : followers_) {
      each->OnGap(head, why);
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

// A log some of whose appends fail, as one whose store goes away does: they are in the log all the same, or they are
// not. And one that is slow to say what it holds.
class LossyLog final : public log::EventLog {
 public:
  explicit LossyLog(std::unique_ptr<log::EventLog> inner) : inner_(std::move(inner)) {}

  enum class Fate { kKept, kLost };
  // Of the next appends that have a record of that kind.
  void FailNext(log::v1::CallRecord::KindCase kind, Fate fate, size_t count = 1) {
    const absl::MutexLock lock(&mutex_);
    kind_ = kind;
    fate_ = fate;
    count_ = count;
  }
  // How many of them have not come.
  size_t left_to_fail() const {
    const absl::MutexLock lock(&mutex_);
    return count_;
  }
  bool HasFailed() const { return left_to_fail() == 0; }

  // Says nothing of its bounds from now on; and then goes on.
  void HoldBounds() {
    const absl::MutexLock lock(&mutex_);
    is_holding_ = true;
    questions_ = 0;
  }
  void ReleaseBounds() {
    std::vector<BoundsCallback> held;
    {
      const absl::MutexLock lock(&mutex_);
      is_holding_ = false;
      held.swap(held_);
    }
    for (BoundsCallback& each : held) {
      inner_->GetBounds(std::move(each));
    }
  }
  // How many times it has been asked for them since HoldBounds.
  size_t questions() const {
    const absl::MutexLock lock(&mutex_);
    return questions_;
  }

  uint64_t failures() const override { return inner_->failures(); }
  using EventLog::Append;
  void Append(std::vector<log::Record> records, uint64_t failures_seen, AppendCallback done) override {
    const std::optional<Fate> fate = FateOf(records);
    if (!fate.has_value()) {
      inner_->Append(std::move(records), failures_seen, std::move(done));
      return;
    }
    if (fate == Fate::kKept) {
      inner_->Append(std::move(records), [](const auto&) {});
    }
    done(absl::UnavailableError("the store is away"));
  }
  void Follow(log::Follower* follower, const Tail& tail) override { inner_->Follow(follower, tail); }
  void ResumeFollow() override { inner_->ResumeFollow(); }
  void Read(const ReadOptions& options, ReadCallback done) override { inner_->Read(options, std::move(done)); }
  void GetBounds(BoundsCallback done) override {
    {
      const absl::MutexLock lock(&mutex_);
      ++questions_;
      if (is_holding_) {
        held_.push_back(std::move(done));
        return;
      }
    }
    inner_->GetBounds(std::move(done));
  }
  absl::Status health() const override { return inner_->health(); }
  Stats stats() const override { return inner_->stats(); }

 private:
  std::optional<Fate> FateOf(const std::vector<log::Record>& records) {
    const absl::MutexLock lock(&mutex_);
    const bool is_wanted = count_ > 0 && std::ranges::any_of(records, [this](const log::Record& record) {
                             mutex_.AssertHeld();
                             return ParseCallRecord(record)->kind_case() == kind_;
                           });
    if (!is_wanted) {
      return std::nullopt;
    }
    --count_;
    return fate_;
  }

  const std::unique_ptr<log::EventLog> inner_;
  mutable absl::Mutex mutex_;
  log::v1::CallRecord::KindCase kind_ ABSL_GUARDED_BY(mutex_) = log::v1::CallRecord::KIND_NOT_SET;
  Fate fate_ ABSL_GUARDED_BY(mutex_) = Fate::kLost;
  size_t count_ ABSL_GUARDED_BY(mutex_) = 0;
  bool is_holding_ ABSL_GUARDED_BY(mutex_) = false;
  size_t questions_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<BoundsCallback> held_ ABSL_GUARDED_BY(mutex_);
};

// A worker that notes what it is told.
class FakeWorker final : public WorkerStream {
 public:
  void OnCall(AssignedCall call) override {
    const absl::MutexLock lock(&mutex_);
    calls_.push_back(std::move(call));
  }
  void OnStop(absl::string_view call_id, uint32_t attempt, StopReason reason) override {
    const absl::MutexLock lock(&mutex_);
    stops_.push_back({std::string(call_id), attempt, reason});
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
    return test::Eventually([&] { return calls().size() >= count; });
  }
  bool AwaitsStop(StopReason reason) const {
    return test::Eventually([&] { return !stops().empty() && stops().back().reason == reason; });
  }
  bool AwaitsAck(uint64_t next_index, absl::StatusCode code = absl::StatusCode::kOk) const {
    return test::Eventually([&] {
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
    return test::Eventually([&] {
      const auto all = answers.entries();
      return std::ranges::any_of(all, [&](const log::Entry& entry) {
        return entry.record.topic == id && entry.record.type == log::kCallEndType &&
               entry.record.data.find(absl::StrCat(R"("status":")", status, R"(")")) != std::string::npos;
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
    test::Answer<log::Bounds> bounds;
    log_->GetBounds(bounds.Callback());
    return bounds.Wait()->newest;
  }

  struct Serving {
    std::shared_ptr<FakeWorker> worker = std::make_shared<FakeWorker>();
    Calls::WorkerHandle handle;
    Calls* calls = nullptr;

    void Update(CallUpdate update) const {
      calls->Update(handle, {std::move(update)}, [](bool /*is_taken*/) {});
    }
    // Whether it has been, as the request's stream is told.
    bool IsTaken(std::vector<CallUpdate> updates) const {
      test::Answer<bool> is_taken;
      calls->Update(handle, std::move(updates), is_taken.Callback());
      return *is_taken.Wait();
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
        {.worker_id = worker_id, .names = {"chat"}, .max_concurrent = concurrent, .held = std::move(held)}, [] {});
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
  std::vector<Calls::View> Opened(CallRequest first, CallRequest second) {
    std::vector<Calls::View> views;
    views.push_back(Opened(std::move(first)));
    views.push_back(Opened(std::move(second)));
    return views;
  }
  static Calls::Refusal::Kind KindOf(const Calls::Outcome& outcome) {
    const auto* refusal = std::get_if<Calls::Refusal>(&outcome);
    return refusal == nullptr ? Calls::Refusal::Kind{-1} : refusal->kind;
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
    EXPECT_TRUE(test::Eventually([&] {
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

}  // namespace bridge::calls
