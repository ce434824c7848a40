#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/synchronization/mutex.h"
#include "tests/support/sse_parser.h"

#include "bridge/log/position.h"

namespace bridge::chaos {

// An event of a run: the one that this publisher published as its number-th, from 0.
struct EventName {
  size_t publisher = 0;
  size_t number = 0;

  friend bool operator==(const EventName&, const EventName&) = default;
};

// The payload that carries an event's name.
std::string DataOf(const EventName& name);

// The bookkeeping of a run: what was published, what was acked, and what each event stream got. It knows nothing of how
// the bridge does it, and says in the end whether every promise was kept.
//
// Thread-safe.
class Ledger {
 public:
  // `topics` are all that is published on; the event stream of index i follows the patterns `streams[i]`.
  Ledger(std::vector<std::string> topics, std::vector<std::vector<std::string>> streams);

  // A publisher's next event, on the topic of this index; called before it is sent for the first time.
  size_t NotePublished(size_t publisher, size_t topic);

  // The bridge acked the publisher's events [begin, end), and said that they lie between these event ids.
  struct Acked {
    size_t publisher = 0;
    size_t begin = 0;
    size_t end = 0;
    std::string first_id;
    std::string last_id;
  };
  void NoteAcked(const Acked& acked);

  // A stream got an event, control events too.
  void NoteReceived(size_t index, const test::SseEvent& event);

  // Something else that must not happen did.
  void NoteViolation(std::string violation);

  // Every acked event has been seen, and every stream has got the last one that has been seen of what it follows.
  bool IsCaughtUp() const;

  // What was not as promised, in words; empty where all is well. Once IsCaughtUp has not come true in its time, or has.
  std::vector<std::string> Check() const;

  struct Totals {
    size_t published = 0;
    size_t acked = 0;
    size_t received = 0;
    size_t never_acked_but_kept = 0;
  };
  Totals totals() const;

 private:
  struct Published {
    size_t topic = 0;
    bool is_acked = false;
    // Where a stream saw it first; 0 for nowhere yet.
    uint64_t sequence = 0;
  };
  struct Stream {
    std::vector<std::string> patterns;
    std::vector<bool> wants;  // by topic
    uint64_t last_id_sequence = 0;
    std::vector<uint64_t> sequences;
  };

  using Violations = std::vector<std::string>;

  // The event's position, checked against what the stream had before; nothing where it has no place.
  std::optional<uint64_t> TakeId(size_t index, const test::SseEvent& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A stream got the event at this place of the log.
  void Place(const EventName& name, uint64_t sequence, size_t index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Complain(std::string violation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  const Published* Find(const EventName& name) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  std::string DescribeStream(size_t index) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  std::string DescribePlace(uint64_t sequence) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  void CheckAcks(Violations* violations) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  void CheckOrder(Violations* violations) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  void CheckStream(size_t index, Violations* violations) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  const std::vector<std::string> topics_;

  mutable absl::Mutex mutex_;
  std::vector<std::vector<Published>> publishers_ ABSL_GUARDED_BY(mutex_);
  std::vector<Acked> acks_ ABSL_GUARDED_BY(mutex_);
  std::vector<Stream> streams_ ABSL_GUARDED_BY(mutex_);
  // The log as the streams have seen it, all of them together.
  absl::btree_map<uint64_t, EventName> log_ ABSL_GUARDED_BY(mutex_);
  std::optional<uint64_t> epoch_ ABSL_GUARDED_BY(mutex_);
  // By topic: the last one that a stream has seen.
  std::vector<uint64_t> newest_ ABSL_GUARDED_BY(mutex_);
  size_t acked_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t acked_unseen_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t received_ ABSL_GUARDED_BY(mutex_) = 0;
  // The first of them, and how many there were.
  Violations violations_ ABSL_GUARDED_BY(mutex_);
  size_t violation_count_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace bridge::chaos
