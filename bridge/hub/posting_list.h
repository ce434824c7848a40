#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace bridge::hub {

// Ascending ring indexes: where the records of a topic, or of an audience, stand in the ring. Grows at the end, shrinks
// at the front.
class PostingList {
 public:
  bool empty() const { return front_ == indexes_.size(); }
  size_t size() const { return indexes_.size() - front_; }
  uint64_t operator[](size_t i) const { return indexes_[front_ + i]; }

  // REQUIRES: `index` is larger than all before.
  void Append(uint64_t index) { indexes_.push_back(index); }

  // Forgets all below `index`.
  void TrimBelow(uint64_t index) {
    while (front_ < indexes_.size() && indexes_[front_] < index) {
      ++front_;
    }
    // Moving the rest when half is gone makes each index move once on average.
    if (front_ > 16 && front_ * 2 > indexes_.size()) {
      indexes_.erase(indexes_.begin(), indexes_.begin() + static_cast<std::ptrdiff_t>(front_));
      front_ = 0;
      // What a burst has taken is given back when it has gone.
      if (indexes_.capacity() > kShrunkFrom && indexes_.capacity() > 4 * indexes_.size()) {
        indexes_.shrink_to_fit();
      }
    }
  }

  // The memory that it takes beside itself.
  size_t footprint_bytes() const { return indexes_.capacity() * sizeof(uint64_t); }

  // The place of the first index that is not below `index`.
  size_t LowerBound(uint64_t index) const {
    const auto begin = indexes_.begin() + static_cast<std::ptrdiff_t>(front_);
    return static_cast<size_t>(std::lower_bound(begin, indexes_.end(), index) - begin);
  }

 private:
  static constexpr size_t kShrunkFrom = 64;

  std::vector<uint64_t> indexes_;
  size_t front_ = 0;
};

}  // namespace bridge::hub
