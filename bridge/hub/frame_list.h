#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

#include "bridge/sse/frame.h"

namespace bridge::hub {

// Frames in log order on their way to a hub, and their topics: a frame does not hold its own, or a history would hold
// it once for each event.
class FrameList {
 public:
  void Reserve(size_t count) {
    frames_.reserve(count);
    places_.reserve(count);
  }

  void Append(sse::FramePtr frame, absl::string_view topic) {
    if (empty() || this->topic(size() - 1) != topic) {
      last_ = {.begin = topics_.size(), .size = topic.size()};
      topics_.append(topic.data(), topic.size());
    }
    frames_bytes_ += frame->footprint_bytes();
    frames_.push_back(std::move(frame));
    places_.push_back(last_);
  }

  bool empty() const { return frames_.empty(); }
  size_t size() const { return frames_.size(); }
  const std::vector<sse::FramePtr>& frames() const { return frames_; }
  absl::string_view topic(size_t i) const {
    return absl::string_view(topics_).substr(places_[i].begin, places_[i].size);
  }

  // The memory that they take, about.
  size_t footprint_bytes() const { return frames_bytes_ + topics_.size(); }

 private:
  // Of a topic in `topics_`.
  struct Place {
    size_t begin = 0;
    size_t size = 0;
  };

  std::vector<sse::FramePtr> frames_;
  std::vector<Place> places_;
  std::string topics_;
  Place last_;
  size_t frames_bytes_ = 0;
};

}  // namespace bridge::hub
