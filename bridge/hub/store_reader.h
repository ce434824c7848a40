#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"

#include "bridge/hub/frame_list.h"
#include "bridge/log/event_log.h"
#include "bridge/ops/log_limiter.h"
#include "bridge/sse/frame.h"
#include "bridge/topic/pattern.h"

namespace bridge::hub {

// The frame of a log's entry.
sse::FramePtr MakeFrame(uint64_t epoch, const log::Entry& entry);

// A page of the log as frames, shared by all streams that read it.
struct FramePage {
  // It covers the sequences (after, read_to].
  uint64_t epoch = 0;
  uint64_t after = 0;
  uint64_t read_to = 0;
  // Only what this matches is in it; everything where empty.
  std::string pattern;
  // The records from the first that it covers up to this one are damaged in the store; 0 for none.
  uint64_t damaged_to = 0;
  FrameList list;
};
using FramePagePtr = std::shared_ptr<const FramePage>;

// Who reads pages: a hub. Thread-safe, never waits.
class PageSink {
 public:
  virtual ~PageSink() = default;

  virtual void PostPage(FramePagePtr page) = 0;
  // The log no longer holds the records up to this one.
  virtual void PostTrimmed(log::Position last_trimmed) = 0;
};

// Reads those records from the log that are no longer in the rings. Streams that resume at about the same place share
// the reads and the frames.
//
// Thread-safe. Outlives its log's callbacks; sinks outlive them too.
class StoreReader {
 public:
  // What the pages that are kept take at most; they are shared while streams follow each other closely.
  static constexpr size_t kBytesKept = size_t{32} << 20;
  // The reads that go on or wait for the log. More than it answers before those who were left out ask again; and
  // strangers, whose streams may have gone by then, cannot make it more.
  static constexpr size_t kReadsMax = 4096;

  explicit StoreReader(log::EventLog* log) : log_(log) {}
  StoreReader(const StoreReader&) = delete;
  StoreReader& operator=(const StoreReader&) = delete;

  // Where a stream goes on reading. With a pattern the page may leave out what it does not match.
  struct Place {
    log::Position after;
    absl::string_view pattern;
  };

  // The pattern by which a stream with these patterns best asks for its pages; empty for none.
  absl::string_view PatternFor(absl::Span<const topic::Pattern> patterns) const;

  // A page that covers the record behind `place`, if there is one at hand.
  FramePagePtr Find(const Place& place) const;

  // Reads it; the page is posted to `sink`. Nothing is, while the store is away or has too much to read: ask again
  // later.
  void Fetch(const Place& place, PageSink* sink);

  // Drops the pages that are at hand or on their way: the log has begun anew, and may hold other records in the places
  // of these, under the same epoch too.
  void Drop();

 private:
  struct Key {
    uint64_t epoch;
    std::string pattern;
    uint64_t after;

    friend auto operator<=>(const Key&, const Key&) = default;
  };
  // A read that is going on: who wants it, and up to which sequence it has to get for them.
  struct Read {
    uint64_t furthest = 0;
    absl::flat_hash_set<PageSink*> sinks = {};
    // Its page is not what the log holds any more.
    bool is_dropped = false;
  };

  // The memory that a page takes where it is kept, about.
  static size_t FootprintOf(const FramePage& page);
  FramePagePtr FindLocked(const Place& place) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  void Start(const Key& key);
  // Posts the pages from `key` on that are at hand, and begins or joins the read of the next one that is wanted.
  void GoOn(Key key, const Read& wanted) ABSL_LOCKS_EXCLUDED(mutex_);
  void OnPage(const Key& key, absl::StatusOr<log::Page> answer);
  void OnBounds(const Key& key, const absl::StatusOr<log::Bounds>& bounds);
  Read TakePending(const Key& key) ABSL_LOCKS_EXCLUDED(mutex_);
  void Keep(const Key& key, FramePagePtr page) ABSL_LOCKS_EXCLUDED(mutex_);
  void NoteFailed(const absl::Status& why);

  log::EventLog* const log_;
  ops::LogLimiter failed_reads_{absl::Seconds(10)};

  mutable absl::Mutex mutex_;
  absl::btree_map<Key, Read> pending_ ABSL_GUARDED_BY(mutex_);
  absl::btree_map<Key, FramePagePtr> pages_ ABSL_GUARDED_BY(mutex_);
  // Of the pages, the oldest first.
  std::deque<Key> order_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace bridge::hub
