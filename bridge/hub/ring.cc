#include "bridge/hub/ring.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/string_view.h"

namespace bridge::hub {

namespace {

// What glibc's allocator takes for `bytes`: 8 more, in steps of 16.
constexpr uint64_t Allocated(uint64_t bytes) { return (bytes + 8 + 15) / 16 * 16; }

}  // namespace

uint64_t Ring::FootprintOf(const sse::Frame& frame) { return Allocated(frame.footprint_bytes()) + sizeof(Slot); }

uint64_t Ring::FootprintOfTopic(absl::string_view topic) {
  // A place in the table is a pointer and a byte, and 7/16 of them are taken when it has just grown.
  constexpr uint64_t kPlace = (sizeof(void*) + 1) * 16 / 7;
  return kPlace + Allocated(sizeof(Topics::value_type)) + Allocated(topic.size() + 1);
}

uint64_t Ring::FootprintOf(const PostingList& postings) { return Allocated(postings.footprint_bytes()); }

void Ring::Reset(uint64_t sequence) {
  begin_index_ = end_index();
  slots_.clear();
  topics_.clear();
  footprint_bytes_ = 0;
  head_sequence_ = sequence;
  trimmed_sequence_ = sequence;
}

void Ring::Append(sse::FramePtr frame, absl::string_view topic) {
  assert(frame->sequence() > head_sequence_);
  if (slots_.empty()) {
    trimmed_sequence_ = head_sequence_;
  }
  auto [entry, is_new] = topics_.try_emplace(topic);
  PostingList& postings = entry->second;
  if (is_new) {
    footprint_bytes_ += FootprintOfTopic(topic);
  } else {
    footprint_bytes_ -= FootprintOf(postings);
  }
  postings.Append(end_index());
  footprint_bytes_ += FootprintOf(postings) + FootprintOf(*frame);
  head_sequence_ = frame->sequence();
  slots_.push_back({.frame = std::move(frame), .topic = &*entry});
  while (!slots_.empty() && (slots_.size() > limits_.events_max || footprint_bytes_ > limits_.bytes_max ||
                             topics_.size() > limits_.topics_max)) {
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
  const Slot& slot = slots_.front();
  auto& [topic, postings] = *slot.topic;
  footprint_bytes_ -= FootprintOf(*slot.frame) + FootprintOf(postings);
  postings.TrimBelow(begin_index_ + 1);
  if (postings.empty()) {
    footprint_bytes_ -= FootprintOfTopic(topic);
    topics_.erase(topics_.find(topic));
  } else {
    footprint_bytes_ += FootprintOf(postings);
  }
  trimmed_sequence_ = slot.frame->sequence();
  slots_.pop_front();
  ++begin_index_;
}

}  // namespace bridge::hub
