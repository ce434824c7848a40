#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "bridge/base/clock.h"
#include "bridge/log/disk/batch.h"
#include "bridge/log/disk/format.h"
#include "bridge/log/disk/log_clock.h"
#include "bridge/log/disk/reader_pool.h"
#include "bridge/log/disk/store.h"
#include "bridge/log/disk/writer.h"
#include "bridge/log/event_log.h"
#include "bridge/log/idempotency_window.h"
#include "bridge/log/inbox.h"

namespace bridge::log {

// The log in a directory of this machine, in LMDB: a new process goes on with the epoch, the history and the
// idempotency keys of the last one.
//
// With kEachBatch an ack means that the record is synced; what is appended while one sync goes on goes together with
// the next, and the follower has a record when it is synced. With kInterval an ack means that the operating system has
// the record, and it is synced within the interval: the end of the process loses nothing, that of the machine may lose
// the tail. So a log that did not end in order starts a new epoch, with the history that is there, and no position that
// was lost is given out again.
//
// Where the disk is full, appends fail with UNAVAILABLE, and reads and trimming go on; there is a reserve for that.
// Appends go on when there is room. After any other failure to write (say an fsync that reports EIO) what the disk
// holds is not known, and all appends fail until the log is opened again. health() says both.
//
// Thread-safe. "The log's thread" gives out sequences, calls the follower and then the callbacks of appends; a thread
// writes; two read. Callbacks of reads and bounds come on those.
class DiskLog final : public EventLog {
 public:
  // The most entries in one call of the follower.
  static constexpr size_t kEntriesPerCallMax = 1024;

  using Sync = disk::Writer::Sync;

  struct Options {
    // The directory; made where its parent is there.
    std::string path;
    Sync sync = Sync::kEachBatch;
    // The longest that an acked record waits to be synced, with kInterval.
    base::MonotonicClock::duration sync_interval = std::chrono::milliseconds(200);
    // What is kept; the file may take three times as much. Age is that of the log's own clock (disk/log_clock.h).
    uint64_t bytes_max = 0;
    base::MonotonicClock::duration age_max = {};
    // How long a key is remembered, and how many are at most, the oldest being forgotten first.
    base::MonotonicClock::duration idempotency_window = {};
    size_t idempotency_keys_max = 0;
    // For tests. Called on any thread.
    disk::LogClock::Sources clock = {};
  };

  // Errors say what is wrong with the directory or the store in it, and what helps.
  static absl::StatusOr<std::unique_ptr<DiskLog>> Open(const Options& options);
  // REQUIRES: no call is going on.
  ~DiskLog() override;
  DiskLog(const DiskLog&) = delete;
  DiskLog& operator=(const DiskLog&) = delete;

  uint64_t failures() const override { return failures_.load(std::memory_order_relaxed); }
  using EventLog::Append;
  void Append(std::vector<Record> records, uint64_t failures_seen, AppendCallback done) override;
  void Follow(Follower* follower, const Tail& tail) override;
  void ResumeFollow() override;
  void Read(const ReadOptions& options, ReadCallback done) override;
  void GetBounds(BoundsCallback done) override;
  absl::Status health() const override { return writer_.health(); }
  Stats stats() const override;

 private:
  // An Append whose records have been placed, or that fails; it is answered when the follower has had so many entries.
  struct Placed {
    AppendCallback done;
    absl::StatusOr<std::vector<Appended>> appended;
    uint64_t entries_until = 0;
  };

  DiskLog(const Options& options, std::unique_ptr<disk::Store> store);

  // Restores the keys and starts the log's thread.
  absl::Status Start();

  absl::StatusOr<Page> ReadPage(const ReadOptions& options);

  // --- On the log's thread.

  void Run();
  Inbox::Needs NeedsOfRound();
  void StartTail(Follower* follower);
  void HandOverTail();
  // Places requests until there is a batch, and gives it to the writer.
  void PlaceSome();
  Appended Place(Record&& record, base::MonotonicTime received, base::MonotonicTime now, disk::Batch* batch);
  // Hands over some of what is durable, and answers the requests that are through.
  void Settle();
  bool HasDurableEntry() const;
  // After a failure: forgets what has been placed and is not durable.
  void RollBack();
  // Fails the requests that have been placed. Those that wait, and that come without having seen this, fail when it is
  // their turn.
  void FailPlaced(const absl::Status& failure);
  // Answers all that is pending with UNAVAILABLE.
  void Abandon();
  void PublishStats();

  const std::unique_ptr<disk::Store> store_;
  Inbox inbox_;
  mutable absl::Mutex mutex_;
  Tail tail_ ABSL_GUARDED_BY(mutex_);
  Stats stats_ ABSL_GUARDED_BY(mutex_);

  // Written by the log's thread. Relaxed: who has been answered sees what was counted before.
  std::atomic<uint64_t> failures_{0};

  // Touched by the log's thread only.
  IdempotencyWindow idempotency_window_;
  disk::Sealer sealer_;
  uint64_t newest_;
  // Those before `next_request_` have been placed.
  std::vector<Inbox::Request> requests_;
  size_t next_request_ = 0;
  // Placed; those before `next_entry_` have been handed over. An ephemeral one is as durable as the one before it.
  std::vector<Entry> entries_;
  size_t next_entry_ = 0;
  std::deque<Placed> placed_;
  uint64_t entries_placed_ = 0;
  uint64_t entries_handed_over_ = 0;
  disk::Writer::Progress progress_;
  // While the tail is handed over: what of it has been.
  Follower* tail_follower_ = nullptr;
  uint64_t tail_read_to_ = 0;
  absl::Status last_failure_;
  uint64_t append_failures_ = 0;

  disk::ReaderPool readers_;
  disk::Writer writer_;
  std::thread thread_;
};

}  // namespace bridge::log
