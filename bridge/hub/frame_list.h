#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

#include "bridge/base/ref_counted_string.h"
#include "bridge/sse/frame.h"

namespace bridge::hub {

// Frames in log order on their way to a hub, and their topics: a frame does not hold its own, or a history would hold
// it once for each event.
class FrameList {
 public:
  void Reserve(size_t count) {
    frames_.reserve(count);
    topics_.reserve(count);
  }

  void Append(sse::FramePtr frame, absl::string_view topic) {
    footprint_bytes_ += frame->footprint_bytes();
    frames_.push_back(std::move(frame));
    if (!topics_.empty() && topics_.back() == topic) {
      topics_.push_back(topics_.back());
      return;
    }
    topics_.emplace_back(topic);
    footprint_bytes_ += topics_.back().footprint_bytes();
  }

  bool empty() const { return frames_.empty(); }
  size_t size() const { return frames_.size(); }
  const std::vector<sse::FramePtr>& frames() const { return frames_; }
  const base::RefCountedString& topic(size_t i) const { return topics_[i]; }

  // The memory that they take, about.
  size_t footprint_bytes() const { return footprint_bytes_; }

 private:
  std::vector<sse::FramePtr> frames_;
  std::vector<base::RefCountedString> topics_;
  size_t footprint_bytes_ = 0;
};

}  // namespace bridge::hub
