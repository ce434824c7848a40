#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "absl/strings/string_view.h"

#include "bridge/base/clock.h"
#include "bridge/base/ref_counted_string.h"
#include "bridge/hub/posting_list.h"
#include "bridge/hub/topic_table.h"
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
  void Append(sse::FramePtr frame, const base::RefCountedString& topic);

  // Trims what is older than the limit, up to a bound; false where there is more to be trimmed.
  bool TrimByAge(base::MonotonicTime now);

  // Frames stand at [begin_index, end_index).
  uint64_t begin_index() const { return begin_index_; }
  uint64_t end_index() const { return begin_index_ + frames_.size(); }
  const sse::FramePtr& operator[](uint64_t index) const { return frames_[index - begin_index_]; }
  absl::string_view TopicOf(uint64_t index) const { return topics_[topic_numbers_[index - begin_index_]].name; }

  // The sequence of the newest record there has been, in the ring or trimmed; 0 before the first.
  uint64_t head_sequence() const { return head_sequence_; }
  // All records after this sequence are in the ring.
  uint64_t trimmed_sequence() const { return frames_.empty() ? head_sequence_ : trimmed_sequence_; }

  // The index of the first frame after `sequence`. REQUIRES: trimmed_sequence() <= sequence.
  uint64_t IndexAfter(uint64_t sequence) const;

  // The sequence of the newest record there has been before that place. REQUIRES: begin_index() <= index <=
  // end_index().
  uint64_t SequenceBefore(uint64_t index) const {
    return index == begin_index_ ? trimmed_sequence() : frames_[index - begin_index_ - 1]->sequence();
  }

  // Where the records of `topic` stand; nullptr for none. Valid until the ring changes.
  const PostingList* PostingsOf(absl::string_view topic) const;

  // The memory that it takes: frames and names of topics (which other rings share), the overhead of each record and
  // topic.
  uint64_t footprint_bytes() const { return footprint_bytes_; }
  base::MonotonicClock::duration OldestAge(base::MonotonicTime now) const;

 private:
  void PopFront();
  // With its place in the ring.
  static uint64_t FootprintOf(const sse::Frame& frame);
  // REQUIRES: it is not empty.
  static uint64_t FootprintOf(const PostingList& postings);

  const Limits limits_;
  // The frames, and the numbers of their topics.
  std::deque<sse::FramePtr> frames_;
  std::deque<uint32_t> topic_numbers_;
  TopicTable topics_;
  uint64_t begin_index_ = 0;
  uint64_t head_sequence_ = 0;
  uint64_t trimmed_sequence_ = 0;
  uint64_t footprint_bytes_ = 0;
};

}  // namespace bridge::hub
