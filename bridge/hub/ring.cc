#include "bridge/hub/ring.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/string_view.h"

namespace bridge::hub {

uint64_t Ring::FootprintOf(const sse::Frame& frame) {
  // A slot, an entry of a posting list, and what the allocator adds to the frame.
  constexpr uint64_t kOverhead = sizeof(Slot) + sizeof(uint64_t) + 16;
  return frame.footprint_bytes() + kOverhead;
}

void Ring::Reset(uint64_t sequence) {
  begin_index_ = end_index();
  slots_.clear();
  topics_.clear();
  footprint_bytes_ = 0;
  head_sequence_ = sequence;
  trimmed_sequence_ = sequence;
}

void Ring::Append(sse::FramePtr frame) {
  assert(frame->sequence() > head_sequence_);
  if (slots_.empty()) {
    trimmed_sequence_ = head_sequence_;
  }
  auto [topic, is_new] = topics_.try_emplace(frame->topic());
  topic->second.Append(end_index());
  head_sequence_ = frame->sequence();
  footprint_bytes_ += FootprintOf(*frame);
  slots_.push_back({.frame = std::move(frame), .postings = &topic->second});
  while (!slots_.empty() && (slots_.size() > limits_.events_max || footprint_bytes_ > limits_.bytes_max)) {
    PopFront();
  }
}

bool Ring::TrimByAge(base::MonotonicTime now) {
  constexpr int kTrimmedTogetherMax = 5000;  // less than a millisecond
  for (int trimmed = 0; !slots_.empty() && now - slots_.front().frame->received() > limits_.age_max; ++trimmed) {
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
  const uint64_t first = slots_.front().frame->sequence();
  if (sequence < first) {
    return begin_index_;
  }
  const uint64_t offset = sequence - first + 1;
  if (offset < slots_.size() && slots_[offset].frame->sequence() == sequence + 1) {
    return begin_index_ + offset;
  }
  const auto after = std::upper_bound(slots_.begin(), slots_.end(), sequence,
                                      [](uint64_t value, const Slot& slot) { return value < slot.frame->sequence(); });
  return begin_index_ + static_cast<uint64_t>(after - slots_.begin());
}

const PostingList* Ring::PostingsOf(absl::string_view topic) const {
  const auto found = topics_.find(topic);
  return found == topics_.end() ? nullptr : &found->second;
}

base::MonotonicClock::duration Ring::OldestAge(base::MonotonicTime now) const {
  return slots_.empty() ? base::MonotonicClock::duration::zero() : now - slots_.front().frame->received();
}

void Ring::PopFront() {
  Slot& slot = slots_.front();
  slot.postings->TrimBelow(begin_index_ + 1);
  if (slot.postings->empty()) {
    topics_.erase(slot.frame->topic());
  }
  trimmed_sequence_ = slot.frame->sequence();
  footprint_bytes_ -= FootprintOf(*slot.frame);
  slots_.pop_front();
  ++begin_index_;
}

}  // namespace bridge::hub
