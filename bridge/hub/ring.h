#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

#include "absl/container/node_hash_map.h"
#include "absl/strings/string_view.h"

#include "bridge/base/clock.h"
#include "bridge/hub/posting_list.h"
#include "bridge/sse/frame.h"

namespace bridge::hub {

// The part of the history that one event loop can replay: the newest frames, in log order, and where each topic's
// stand.
//
// Frames have an index: 0 for the first that the ring ever held, then one by one. Not thread-safe.
class Ring {
 public:
  struct Limits {
    uint64_t events_max = 100'000;
    uint64_t bytes_max = uint64_t{256} << 20;
    uint64_t topics_max = 1'000'000;
    base::MonotonicClock::duration age_max = std::chrono::hours(1);
  };

  explicit Ring(const Limits& limits) : limits_(limits) {}

  // Makes the ring empty, standing behind `sequence`.
  void Reset(uint64_t sequence);

  // Appends a kept frame of that topic, and trims what is over the bounds of number, bytes and topics.
  // REQUIRES: its sequence is larger than all before.
  void Append(sse::FramePtr frame, absl::string_view topic);

  // Trims what is older than the limit, up to a bound; false where there is more to be trimmed.
  bool TrimByAge(base::MonotonicTime now);

  // Frames stand at [begin_index, end_index).
  uint64_t begin_index() const { return begin_index_; }
  uint64_t end_index() const { return begin_index_ + slots_.size(); }
  const sse::FramePtr& operator[](uint64_t index) const { return slots_[index - begin_index_].frame; }
  absl::string_view TopicOf(uint64_t index) const { return slots_[index - begin_index_].topic->first; }

  // The sequence of the newest record there has been, in the ring or trimmed; 0 before the first.
  uint64_t head_sequence() const { return head_sequence_; }
  // All records after this sequence are in the ring.
  uint64_t trimmed_sequence() const { return slots_.empty() ? head_sequence_ : trimmed_sequence_; }

  // The index of the first frame after `sequence`. REQUIRES: trimmed_sequence() <= sequence.
  uint64_t IndexAfter(uint64_t sequence) const;

  // Where the records of `topic` stand; nullptr for none. Valid until the ring changes.
  const PostingList* PostingsOf(absl::string_view topic) const;

  // The memory that it takes: frames (which other rings share), the overhead of each record, and topics.
  uint64_t footprint_bytes() const { return footprint_bytes_; }
  base::MonotonicClock::duration OldestAge(base::MonotonicTime now) const;

 private:
  using Topics = absl::node_hash_map<std::string, PostingList>;

  struct Slot {
    sse::FramePtr frame;
    Topics::value_type* topic;
  };

  void PopFront();
  // With its slot.
  static uint64_t FootprintOf(const sse::Frame& frame);
  // With its name and its place in the table, without its indexes.
  static uint64_t FootprintOfTopic(absl::string_view topic);
  // REQUIRES: it is not empty.
  static uint64_t FootprintOf(const PostingList& postings);

  const Limits limits_;
  std::deque<Slot> slots_;
  uint64_t begin_index_ = 0;
  uint64_t head_sequence_ = 0;
  uint64_t trimmed_sequence_ = 0;
  uint64_t footprint_bytes_ = 0;
  Topics topics_;
};

}  // namespace bridge::hub
