#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

#include "bridge/log/event_log.h"

namespace bridge::test {

// A log that does what a store behind a network does to its callers: it answers late and from another thread, acks
// before or after its follower has the records, hands them over in pieces of its own, stalls, and fails. What it
// promises is what EventLog promises. The log behind it does not fail of itself.
//
// Thread-safe. All callbacks come on a thread of its own, at the end on that of its destructor.
class FaultyLog final : public log::EventLog {
 public:
  struct Options {
    uint64_t seed = 0;
    // Before each append, answer and call of the follower it waits a random time up to this.
    absl::Duration delay_max;
  };

  // The most entries that it holds for its follower before it stalls the log behind it.
  static constexpr size_t kEntriesHeldMax = 64;

  FaultyLog(std::unique_ptr<log::EventLog> inner, const Options& options);
  ~FaultyLog() override;
  FaultyLog(const FaultyLog&) = delete;
  FaultyLog& operator=(const FaultyLog&) = delete;

  // The store does nothing until it is resumed: no append, no answer, no record for the follower.
  void StallStore();
  void ResumeStore();

  // The next append fails, and those that wait behind it (they have not seen it); of its records none, the first few or
  // all are appended.
  void FailNextAppend();
  // The next Read or GetBounds fails.
  void FailNextRead();

  uint64_t failures() const override;
  using EventLog::Append;
  void Append(std::vector<log::Record> records, uint64_t failures_seen, AppendCallback done) override;
  void Follow(log::Follower* follower, const Tail& tail) override;
  void ResumeFollow() override;
  void Read(const ReadOptions& options, ReadCallback done) override;
  void GetBounds(BoundsCallback done) override;
  absl::Status health() const override { return inner_->health(); }
  Stats stats() const override { return inner_->stats(); }

 private:
  // Something to do later, told OK when it is its turn, or why its turn never comes.
  using Action = absl::AnyInvocable<void(const absl::Status&)>;

  // Actions of a lane keep their order; which lane is next is left to chance.
  enum Lane : size_t { kAppends, kAnswers, kEntries, kReads, kLaneCount };

  // An append, from its arrival until it is answered.
  struct Request {
    std::vector<log::Record> records;
    uint64_t failures_seen = 0;
    AppendCallback done;
    std::optional<absl::StatusOr<std::vector<log::Appended>>> result;
  };

  // Stands between the log behind it and the follower.
  class Relay final : public log::Follower {
   public:
    explicit Relay(FaultyLog* log) : log_(log) {}
    void OnEpoch(uint64_t epoch, uint64_t head) override;
    void OnCaughtUp() override;
    void OnGap(uint64_t head, Missing why) override;
    Flow OnEntries(absl::Span<const log::Entry> entries) override;

   private:
    FaultyLog* const log_;
  };

  void Plan(Lane lane, Action action) ABSL_LOCKS_EXCLUDED(mutex_);
  // Plans `ask`, which asks the log behind it, and later its answer.
  template <typename T>
  void PlanQuestion(absl::AnyInvocable<void(absl::StatusOr<T>)> done,
                    absl::AnyInvocable<void(absl::AnyInvocable<void(absl::StatusOr<T>)>)> ask);
  size_t RandomUpTo(size_t max) ABSL_LOCKS_EXCLUDED(mutex_);

  // --- On its thread.

  void Run();
  // Waits for a turn; an empty action when the log ends.
  Action AwaitTurn();
  bool MayRun(Lane lane) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  bool HasTurn() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  void AppendNext();
  // Appends a random number of the request's records and has it fail.
  void FailInTheMiddle(Request* request);
  void SetResult(Request* request, absl::StatusOr<std::vector<log::Appended>> result);
  // Answers the requests that have a result, up to the first that has none.
  void AnswerReady();
  std::unique_ptr<Request> TakeReady();
  void HandOver(const std::vector<log::Entry>& entries);
  log::Follower* follower() ABSL_LOCKS_EXCLUDED(mutex_);

  const absl::Duration delay_max_;
  std::unique_ptr<log::EventLog> inner_;
  Relay relay_{this};

  mutable absl::Mutex mutex_;
  std::mt19937_64 random_ ABSL_GUARDED_BY(mutex_);
  bool is_ending_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_store_stalled_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_follower_stalled_ ABSL_GUARDED_BY(mutex_) = false;
  bool fails_next_append_ ABSL_GUARDED_BY(mutex_) = false;
  bool fails_next_read_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t failures_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t entries_held_ ABSL_GUARDED_BY(mutex_) = 0;
  log::Follower* follower_ ABSL_GUARDED_BY(mutex_) = nullptr;
  // Those that wait for their turn, and those that the log behind it has got or that have failed.
  std::deque<std::unique_ptr<Request>> arrived_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::unique_ptr<Request>> unanswered_ ABSL_GUARDED_BY(mutex_);
  std::array<std::deque<Action>, kLaneCount> lanes_ ABSL_GUARDED_BY(mutex_);

  std::thread thread_;
};

}  // namespace bridge::test
