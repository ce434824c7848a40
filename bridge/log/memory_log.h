#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

#include "bridge/base/clock.h"
#include "bridge/log/event_log.h"
#include "bridge/log/history.h"
#include "bridge/log/idempotency_window.h"
#include "bridge/log/inbox.h"

namespace bridge::log {

// The log of one process, in memory: an ack means that this process holds the record, and a new process starts a new
// epoch.
//
// Thread-safe. One thread of its own ("the log's thread") takes what is pending, gives out sequences, calls the
// follower and then the callbacks.
//
// It never fails but by ending: its destructor answers what is pending with UNAVAILABLE and joins the thread; what the
// follower has been handed stays handed.
//
// While the follower stalls, no append is taken nor acked, and reads go on. What is pending then is bounded by the
// callers, who have to wait for acks (rpc/ does, by grpc.max_bytes_in_flight and its total): the log has no limit of
// its own on it.
class MemoryLog final : public EventLog {
 public:
  // The most entries in one call of the follower; what is pending goes together, so that a busy log costs its follower
  // few calls.
  static constexpr size_t kEntriesPerCallMax = 1024;

  struct Options {
    // 0: the nanoseconds of the wall clock at construction, so that it is another one in each process.
    uint64_t epoch = 0;
    // How long a key is remembered, and how many are at most, the oldest being forgotten first.
    base::MonotonicClock::duration idempotency_window = {};
    size_t idempotency_keys_max = 0;
    // What Read serves.
    History::Limits history = {};
    // For tests. Called on any thread.
    std::function<base::MonotonicTime()> clock = base::MonotonicClock::now;
  };

  explicit MemoryLog(Options options);
  // REQUIRES: no call is going on.
  ~MemoryLog() override;
  MemoryLog(const MemoryLog&) = delete;
  MemoryLog& operator=(const MemoryLog&) = delete;

  uint64_t failures() const override { return 0; }
  using EventLog::Append;
  void Append(std::vector<Record> records, uint64_t failures_seen, AppendCallback done) override;
  void Follow(Follower* follower, const Tail& tail) override;
  void ResumeFollow() override;
  void Read(const ReadOptions& options, ReadCallback done) override;
  void GetBounds(BoundsCallback done) override;

  absl::Status health() const override { return absl::OkStatus(); }
  // As of the last ack, or later.
  Stats stats() const override;

 private:
  // --- On the log's thread.

  void Run();
  std::optional<Inbox::Round> AwaitRound();
  // Appends up to kEntriesPerCallMax records and hands them to the follower.
  void AppendSome();
  Appended Place(Record record, base::MonotonicTime received, base::MonotonicTime now);
  void DropOld();
  void PublishStats();
  // Answers all that is pending with UNAVAILABLE.
  void Abandon();

  const uint64_t epoch_;
  const std::function<base::MonotonicTime()> clock_;

  Inbox inbox_;
  mutable absl::Mutex mutex_;
  Stats stats_ ABSL_GUARDED_BY(mutex_);

  // Touched by the log's thread only. The requests before `next_request_` have been appended.
  std::vector<Inbox::Request> requests_;
  size_t next_request_ = 0;
  std::vector<Entry> entries_;
  uint64_t newest_ = 0;
  History history_;
  IdempotencyWindow idempotency_window_;

  std::thread thread_;
};

}  // namespace bridge::log
