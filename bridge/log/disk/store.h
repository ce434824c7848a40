#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "bridge/log/disk/batch.h"
#include "bridge/log/disk/files.h"
#include "bridge/log/disk/format.h"
#include "bridge/log/disk/journal.h"
#include "bridge/log/disk/log_clock.h"
#include "bridge/log/disk/tables.h"
#include "bridge/log/event_log.h"
#include "bridge/log/fingerprint.h"

namespace bridge::log::disk {

// The records, keys and state of a log on disk, in LMDB. No threads of its own.
//
// Thread-safe, but for what is the writer's: one thread's at a time. Reads are made in a short transaction each. A
// record is in it whole or not at all, whatever ends the process or the machine.
class Store {
 public:
  struct Options {
    std::string path;
    // The log acks records that are only in the journal: one that is not closed leaves a new epoch to the next.
    bool may_lack_its_tail = false;
    // Records beyond these are trimmed, oldest first.
    uint64_t bytes_max = 0;
    LogClock::Time age_max = {};
    // The same for keys.
    LogClock::Time key_age_max = {};
    size_t keys_max = 0;
    LogClock::Sources clock;
  };

  // Opens the store, or makes it, has it to itself, and writes what the journal has. Does not read its records, but for
  // the first and the last one.
  static absl::StatusOr<std::unique_ptr<Store>> Open(Options options);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  const LogClock& clock() const { return clock_; }
  uint64_t epoch() const { return epoch_; }
  Fingerprinter::Key fingerprint_key() const;

  // --- Reading.

  // As EventLog::Read; `unwritten` are the batches that had yet to be written before this call, from the one with the
  // record after `options.after` on.
  absl::StatusOr<Page> Read(const EventLog::ReadOptions& options, absl::Span<const BatchPtr> unwritten);

  // The sequence before the first record of a tail of the written records.
  absl::StatusOr<uint64_t> TailStart(const EventLog::Tail& tail) const;

  // Calls `use` for each key, oldest first.
  absl::Status ForEachKey(absl::FunctionRef<void(uint64_t sequence, const TimedKey& key)> use);

  // Times that a damaged record or key has been met.
  uint64_t unreadable_total() const { return unreadable_total_.load(std::memory_order_relaxed); }

  // Sees to it that there is room to Write so many bytes of batches, those that are being written included.
  // RESOURCE_EXHAUSTED: there is none.
  absl::Status Reserve(uint64_t bytes);

  // --- The writer's.

  // What is written.
  Bounds bounds() const { return {.epoch = epoch_, .oldest = oldest_, .newest = state_.newest_sequence()}; }
  uint64_t record_bytes() const { return state_.record_bytes(); }

  // Writes the records, trims some of what is too much, and syncs, in one transaction. Where it fails, nothing of it is
  // there. RESOURCE_EXHAUSTED: there is no room now. INTERNAL: what the disk holds is not known; no later call succeeds
  // until the store is opened again.
  absl::Status Write(absl::Span<const BatchPtr> batches);

  // Whether a Write of nothing would trim.
  bool HasTooMuch() const;

  // OK where a Write may succeed; else why not.
  absl::Status CheckRoom();

  // The log ends in order: all that was acked is written.
  absl::Status Close();

  // For whoever adds to it and drops what is written.
  Journal& journal() { return journal_; }

 private:
  Store(Options options, std::unique_ptr<Files> files, Tables tables, Journal journal, LogClock clock,
        v1::StoreState state);

  absl::Status TryWrite(absl::Span<const BatchPtr> batches);
  // Trims at most `count_max` of each; returns the oldest record's sequence then, 0 where there is none.
  absl::StatusOr<uint64_t> TrimRecords(MDB_txn* txn, size_t count_max, v1::StoreState* state) const;
  absl::Status TrimKeys(MDB_txn* txn, size_t count_max) const;

  const Options options_;
  const std::unique_ptr<Files> files_;
  const Tables tables_;
  Journal journal_;
  const LogClock clock_;
  const uint64_t epoch_;

  std::atomic<uint64_t> unreadable_total_{0};

  // The writer's.
  v1::StoreState state_;
  uint64_t oldest_ = 1;
  absl::Status broken_;
};

}  // namespace bridge::log::disk
