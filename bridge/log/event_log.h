#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "bridge/log/position.h"
#include "bridge/log/record.h"
#include "bridge/topic/pattern.h"

namespace bridge::log {

// Who is handed every record of a log. Called on one thread of the log's at a time; must not block.
class Follower {
 public:
  enum class Flow { kContinue, kStall };

  virtual ~Follower() = default;

  // The log has this epoch, and the next entry's sequence is larger than `head`. The first call; comes again where the
  // store has been made anew under the running log, or has lost its end (its epoch is the same then, and sequences come
  // again): from then on there are only entries of the log that there is now.
  virtual void OnEpoch(uint64_t epoch, uint64_t head) = 0;

  // What the log held when it was followed, or when it started anew, has been handed over. Once after each OnEpoch.
  virtual void OnCaughtUp() = 0;

  enum class Missing {
    kTrimmed,     // the store has them no longer, and none of those before them
    kUnreadable,  // the store may have some of them, and those before them
  };
  // Records up to `head` are not handed over; the next entry's sequence is larger. After OnEpoch, among the entries.
  virtual void OnGap(uint64_t head, Missing why) = 0;

  // Entries in log order, each once; ephemeral ones stand among them. After kStall (which has taken these entries)
  // comes nothing more until EventLog::ResumeFollow, and the log acks no more than its bound on what waits.
  virtual Flow OnEntries(absl::Span<const Entry> entries) = 0;
};

// What became of one record of an append.
struct Appended {
  // OK, or why this record was not accepted (the others may have been).
  absl::Status status;
  // The record's position, or its first one where it is a repeat; sequence 0 for an ephemeral record.
  Position position;
  bool is_duplicate = false;
};

// The oldest and the newest record that a log holds; oldest = newest + 1 where it holds none.
struct Bounds {
  uint64_t epoch = 0;
  uint64_t oldest = 1;
  uint64_t newest = 0;
};

// One page of a log's records.
struct Page {
  std::vector<Entry> entries;
  // Where the next page starts: the position of the last record that was looked at, or where this one started if there
  // was none.
  Position read_to;
  // The last of the records right behind the position where the page starts that are damaged in the store and have been
  // left out; 0 for none.
  uint64_t damaged_to = 0;
};

// The one totally ordered sequence of accepted events.
//
// Thread-safe. Every call answers by callback, on a thread of the log's, possibly before the call returns (then on the
// caller's); callbacks must not block, and may call the log again. Each callback is called exactly once, those that are
// waiting when the log is destroyed with UNAVAILABLE.
//
// Guarantees: a record is handed to the follower only once it is as durable as its ack says; the ack itself may come
// before or after that. Appends of one caller that were made one after the other are in the log in that order (but
// where a store loses one of them while its leader changes: docs/logs.md), and are answered in that order. Sequences of
// an epoch are given out once, but by a store that has lost its end. A Read finds what has been acked or handed to the
// follower before it. What is appended without knowledge of a failure fails too
// (`failures_seen`), so that a resend of what failed is not overtaken.
class EventLog {
 public:
  using AppendCallback = absl::AnyInvocable<void(absl::StatusOr<std::vector<Appended>>)>;
  using ReadCallback = absl::AnyInvocable<void(absl::StatusOr<Page>)>;
  using BoundsCallback = absl::AnyInvocable<void(absl::StatusOr<Bounds>)>;

  virtual ~EventLog() = default;

  // Grows with each failure, before the first append that fails by it is answered. Whether the log's end counts as one
  // is not said: nothing is appended after it. Never blocks.
  virtual uint64_t failures() const = 0;

  // Appends `records` in their order, and answers with one Appended each. A record whose (publisher, topic,
  // idempotency_key) was appended within the idempotency window is a duplicate and not appended again. An ephemeral
  // record's key does not count. UNAVAILABLE: the log failed or ends; some of the records may have been appended, so a
  // resend wants keys.
  //
  // `failures_seen` is what failures() said when the caller had nothing unanswered, or later: where there are more by
  // now, one of the appends before this one may have failed, and nothing of this one is appended (UNAVAILABLE too).
  // Without it, the caller has nothing unanswered.
  virtual void Append(std::vector<Record> records, uint64_t failures_seen, AppendCallback done) = 0;
  void Append(std::vector<Record> records, AppendCallback done) {
    Append(std::move(records), failures(), std::move(done));
  }

  // The newest records that a log holds already when it is followed, within both bounds (the second one about).
  struct Tail {
    size_t events_max = 0;
    size_t bytes_max = 0;
  };
  // Hands the records of `tail` and then every record from now on to `follower`, which outlives the log. REQUIRES:
  // called once, before the first Append.
  virtual void Follow(Follower* follower, const Tail& tail) = 0;

  // Ends a stall. Harmless where there is none. May be called while OnEntries runs, also inside it: then it ends the
  // stall that this call of OnEntries is about to return.
  virtual void ResumeFollow() = 0;

  struct ReadOptions {
    // The page starts with the first record after this position.
    Position after;
    // With 0 as with 1.
    size_t entries_max = 1000;
    // Of topic, type and data; a page holds one record at least.
    size_t bytes_max = size_t{1} << 20;
    // A hint: records that it does not match may be left out (Page::read_to says how far the page goes all the same).
    std::optional<topic::Pattern> pattern = std::nullopt;
  };
  // Reads a page of older records, in order; an empty page means that there is none newer (also where `after` is ahead
  // of the log). OUT_OF_RANGE: records after `after` have been trimmed. NOT_FOUND: another epoch. UNAVAILABLE: the
  // store is away.
  virtual void Read(const ReadOptions& options, ReadCallback done) = 0;

  // Reading by a pattern costs less than reading everything.
  virtual bool can_filter() const { return false; }

  // What the store holds now (not only this replica). UNAVAILABLE: the store is away.
  virtual void GetBounds(BoundsCallback done) = 0;

  // OK while the store can be reached, else UNAVAILABLE and what is wrong with it. Never blocks.
  virtual absl::Status health() const = 0;

  // Figures for the operator. A log leaves at 0 what it does not have.
  struct Stats {
    // Idempotency keys that this process remembers, and those forgotten for want of room within the window.
    uint64_t idempotency_keys = 0;
    uint64_t idempotency_keys_evicted = 0;
    // Appends that failed because of the store.
    uint64_t append_failures = 0;
    // Times that the connection to the store was lost.
    uint64_t disconnects = 0;
    // Records left out because they are damaged, or of a newer format.
    uint64_t unreadable_records = 0;
    // The most recent bounds of the store that are known here.
    uint64_t store_bytes = 0;
    uint64_t store_events = 0;
  };
  virtual Stats stats() const = 0;
};

}  // namespace bridge::log
