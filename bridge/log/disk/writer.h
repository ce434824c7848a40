#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

#include "bridge/base/clock.h"
#include "bridge/log/disk/batch.h"
#include "bridge/log/disk/journal.h"
#include "bridge/log/disk/store.h"
#include "bridge/log/event_log.h"

namespace bridge::log::disk {

// Writes batches to the store on a thread of its own: those that come while one is being synced go together with the
// next sync.
//
// Thread-safe, but for what is the log's thread's only. The store outlives it.
class Writer {
 public:
  enum class Sync {
    // A batch is durable when it is written.
    kEachBatch,
    // A batch is durable when the journal has it, which outlives the process; within an interval it is written.
    kInterval,
  };

  struct Options {
    Sync sync = Sync::kEachBatch;
    // Of kInterval.
    base::MonotonicClock::duration sync_interval = {};
    // Called on the writer's thread after each write. Must not block.
    std::function<void()> on_progress;
  };

  Writer(Store* store, Options options);
  // Writes what is durable already, unless the store has failed, and closes the store. What is not is not written;
  // questions are answered with UNAVAILABLE.
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // --- On the log's thread.

  // Whether it has taken as much as it should before it has written. Not where it cannot write: then Add says so.
  bool IsFull() const;
  // Where it fails, progress() says it. REQUIRES: the batch is not empty, and progress() has no failure.
  void Add(BatchPtr batch);

  struct Progress {
    // Up to here all is durable.
    uint64_t durable_sequence = 0;
    // UNAVAILABLE: nothing that is not durable will be. Until Forget, after which an Add may fail the same way.
    absl::Status failure;
  };
  Progress progress() const;
  // After a failure: forgets the batches that are not durable.
  void Forget();

  // --- On any thread.

  // As EventLog::GetBounds, once what is durable now is written and what is too old is trimmed. Does not wait for the
  // disk, nor does what stands below.
  void GetBounds(EventLog::BoundsCallback done);

  // The durable batches that are not written, from the one with the record after `sequence` on.
  std::vector<BatchPtr> Unwritten(uint64_t after, size_t records_max) const;

  absl::Status health() const;

  struct Written {
    uint64_t bytes = 0;
    uint64_t events = 0;
  };
  Written written() const;

 private:
  static constexpr base::MonotonicTime kNever = base::MonotonicTime::max();

  struct Round {
    std::vector<BatchPtr> batches;
    std::vector<EventLog::BoundsCallback> questions;
    bool is_last = false;
  };

  // --- On its thread.

  void Run();
  Round Await();
  // What is to be written now.
  std::vector<BatchPtr> TakeUnwritten();
  void Write(const std::vector<BatchPtr>& batches);
  static Written WrittenOf(const Store& store);
  void NoteWritten(size_t batches);
  void NoteStored() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteFailure(const absl::Status& failure) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Trims now and then, and finds out whether there is room again.
  void Tend();
  void Close();

  // --- On the log's thread.

  absl::Status AddToJournal(const Batch& batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(journal_mutex_)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Enqueue(BatchPtr batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  bool IsEachBatch() const { return options_.sync == Sync::kEachBatch; }
  Journal& journal() ABSL_EXCLUSIVE_LOCKS_REQUIRED(journal_mutex_) { return store_->journal(); }

  Store* const store_;
  const Options options_;

  // Held while the journal is written to, which may take as long as the disk likes: so never where `mutex_` is held.
  // While it is held, `batches_` and the journal's files stay in step; with kInterval nothing comes into the former.
  absl::Mutex journal_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);

  // Held for a few lines, for event loops come by.
  mutable absl::Mutex mutex_;
  bool is_ending_ ABSL_GUARDED_BY(mutex_) = false;
  // Those that are not written, in their order.
  std::deque<BatchPtr> batches_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t durable_sequence_ ABSL_GUARDED_BY(mutex_);
  // When `batches_` have to be written.
  base::MonotonicTime due_ ABSL_GUARDED_BY(mutex_) = kNever;
  absl::Status health_ ABSL_GUARDED_BY(mutex_);
  // Why something that was added is not durable, until Forget: so that nothing that comes after it is.
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  // Why `batches_` could not be written, until they are, with kInterval: nothing more is added.
  absl::Status write_failure_ ABSL_GUARDED_BY(mutex_);
  std::vector<EventLog::BoundsCallback> questions_ ABSL_GUARDED_BY(mutex_);
  Written written_ ABSL_GUARDED_BY(mutex_);

  // Touched by its thread only: on the store's clock.
  base::MonotonicTime tended_;

  std::thread thread_;
};

}  // namespace bridge::log::disk
