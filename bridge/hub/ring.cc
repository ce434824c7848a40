#include "bridge/hub/ring.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/string_view.h"

#include "bridge/base/allocated_bytes.h"

namespace bridge::hub {

uint64_t Ring::FootprintOf(const sse::Frame& frame) {
  return base::AllocatedBytes(frame.footprint_bytes()) + sizeof(sse::FramePtr) + sizeof(uint32_t);
}

uint64_t Ring::FootprintOf(const PostingList& postings) { return base::AllocatedBytes(postings.footprint_bytes()); }

void Ring::Reset(uint64_t sequence) {
  begin_index_ = end_index();
  frames_.clear();
  topic_numbers_.clear();
  topics_.Clear();
  footprint_bytes_ = 0;
  head_sequence_ = sequence;
  trimmed_sequence_ = sequence;
}

void Ring::Append(sse::FramePtr frame, const base::RefCountedString& topic) {
  assert(frame->sequence() > head_sequence_);
  if (frames_.empty()) {
    trimmed_sequence_ = head_sequence_;
  }
  const uint32_t number = topics_.NumberOf(topic);
  PostingList& postings = topics_[number].postings;
  if (postings.empty()) {
    footprint_bytes_ += TopicTable::FootprintOf(topic);
  } else {
    footprint_bytes_ -= FootprintOf(postings);
  }
  postings.Append(end_index());
  footprint_bytes_ += FootprintOf(postings) + FootprintOf(*frame);
  head_sequence_ = frame->sequence();
  frames_.push_back(std::move(frame));
  topic_numbers_.push_back(number);
  while (!frames_.empty() && (frames_.size() > limits_.events_max || footprint_bytes_ > limits_.bytes_max ||
                              topics_.size() > limits_.topics_max)) {
    PopFront();
  }
}

bool Ring::TrimByAge(base::MonotonicTime now) {
  constexpr int kTrimmedTogetherMax = 5000;  // less than a millisecond
  for (int trimmed = 0; !frames_.empty() && now - frames_.front()->received() > limits_.age_max; ++trimmed) {
    if (trimmed == kTrimmedTogetherMax) {
      return false;
    }
    PopFront();
  }
  return true;
}

uint64_t Ring::IndexAfter(uint64_t sequence) const {
  if (sequence >= head_sequence_) {
    return end_index();
  }
  // Where sequences have no holes, the place can be computed.
  const uint64_t first = frames_.front()->sequence();
  if (sequence < first) {
    return begin_index_;
  }
  const uint64_t offset = sequence - first + 1;
  if (offset < frames_.size() && frames_[offset]->sequence() == sequence + 1) {
    return begin_index_ + offset;
  }
  const auto after =
      std::upper_bound(frames_.begin(), frames_.end(), sequence,
                       [](uint64_t value, const sse::FramePtr& frame) { return value < frame->sequence(); });
  return begin_index_ + static_cast<uint64_t>(after - frames_.begin());
}

const PostingList* Ring::PostingsOf(absl::string_view topic) const {
  const TopicTable::Topic* const found = topics_.Find(topic);
  return found == nullptr ? nullptr : &found->postings;
}

base::MonotonicClock::duration Ring::OldestAge(base::MonotonicTime now) const {
  return frames_.empty() ? base::MonotonicClock::duration::zero() : now - frames_.front()->received();
}

void Ring::PopFront() {
  const sse::Frame& frame = *frames_.front();
  const uint32_t number = topic_numbers_.front();
  TopicTable::Topic& topic = topics_[number];
  footprint_bytes_ -= FootprintOf(frame) + FootprintOf(topic.postings);
  topic.postings.TrimBelow(begin_index_ + 1);
  if (topic.postings.empty()) {
    footprint_bytes_ -= TopicTable::FootprintOf(topic.name);
    topics_.Erase(number);
  } else {
    footprint_bytes_ += FootprintOf(topic.postings);
  }
  trimmed_sequence_ = frame.sequence();
  frames_.pop_front();
  topic_numbers_.pop_front();
  ++begin_index_;
}

}  // namespace bridge::hub
