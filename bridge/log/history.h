#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "absl/status/statusor.h"

#include "bridge/base/clock.h"
#include "bridge/log/event_log.h"

namespace bridge::log {

// The newest records of a memory log, which can still be read. Not thread-safe.
class History {
 public:
  struct Limits {
    // With 0 nothing is kept; the bounds are those of the log all the same.
    size_t events_max = 0;
    // Of all entries: their strings and sizeof(Entry).
    size_t bytes_max = 0;
    // Since they were received.
    base::MonotonicClock::duration age_max = {};
  };

  History(uint64_t epoch, const Limits& limits) : epoch_(epoch), limits_(limits) {}

  // Adds a kept entry and drops what is then too much. REQUIRES: its sequence is the one after bounds().newest.
  void Add(Entry entry);

  void DropOld(base::MonotonicTime now);

  Bounds bounds() const { return {.epoch = epoch_, .oldest = newest_ + 1 - entries_.size(), .newest = newest_}; }

  // As EventLog::Read.
  absl::StatusOr<Page> Read(const EventLog::ReadOptions& options) const;

  size_t events() const { return entries_.size(); }
  size_t bytes() const { return bytes_; }

 private:
  void DropFirst();

  const uint64_t epoch_;
  const Limits limits_;
  std::deque<Entry> entries_;
  size_t bytes_ = 0;
  uint64_t newest_ = 0;
};

}  // namespace bridge::log
