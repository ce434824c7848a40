#pragma once

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <limits>

#include <boost/container/vector.hpp>

#include "bridge/base/allocated_bytes.h"

namespace bridge::hub {

// Ascending ring indexes: where the records of a topic, or of an audience, stand in the ring. Grows at the end, shrinks
// at the front. REQUIRES: the indexes in it at one time lie within 2^32 of each other.
class PostingList {
 public:
  bool empty() const { return front_ == offsets_.size(); }
  size_t size() const { return offsets_.size() - front_; }
  uint64_t operator[](size_t i) const { return base_ + offsets_[front_ + i]; }

  // REQUIRES: `index` is larger than all before.
  void Append(uint64_t index) {
    if (empty()) {
      offsets_.clear();
      front_ = 0;
      base_ = index;
    } else if (index - base_ > std::numeric_limits<uint32_t>::max()) {
      Rebase();
    }
    assert(index - base_ <= std::numeric_limits<uint32_t>::max());
    if (offsets_.size() == offsets_.capacity()) {
      offsets_.reserve(RoomFor(offsets_.size() + offsets_.size() / 2 + 1));  // there are as many lists as topics
    }
    offsets_.push_back(static_cast<uint32_t>(index - base_));
  }

  // Forgets all below `index`.
  void TrimBelow(uint64_t index) {
    while (!empty() && (*this)[0] < index) {
      ++front_;
    }
    // Moving the rest when half is gone makes each index move once on average.
    if (front_ > 16 && front_ > offsets_.size() / 2) {
      DropFront();
      // What a burst has taken is given back when it has gone.
      if (offsets_.capacity() > kShrunkFrom && offsets_.capacity() > 4 * offsets_.size()) {
        offsets_.shrink_to_fit();
      }
    }
  }

  // The memory that it takes beside itself.
  size_t footprint_bytes() const { return offsets_.capacity() * sizeof(uint32_t); }

  // The place of the first index that is not below `index`.
  size_t LowerBound(uint64_t index) const {
    const auto begin = offsets_.begin() + static_cast<std::ptrdiff_t>(front_);
    const auto below = [this](uint32_t offset, uint64_t wanted) { return base_ + offset < wanted; };
    return static_cast<size_t>(std::lower_bound(begin, offsets_.end(), index, below) - begin);
  }

 private:
  static constexpr size_t kShrunkFrom = 64;

  // As many as fit into the block that so many take.
  static constexpr size_t RoomFor(size_t count) {
    constexpr size_t kAllocatorBytes = 8;
    return (base::AllocatedBytes(count * sizeof(uint32_t)) - kAllocatorBytes) / sizeof(uint32_t);
  }

  void DropFront() {
    offsets_.erase(offsets_.begin(), offsets_.begin() + static_cast<std::ptrdiff_t>(front_));
    front_ = 0;
  }

  // Counts from the first index that is left.
  void Rebase() {
    DropFront();
    const uint32_t first = offsets_.front();
    base_ += first;
    for (uint32_t& offset : offsets_) {
      offset -= first;
    }
  }

  // There are not more than fit into 32 bits, and so they are counted.
  using Sizes = boost::container::vector_options_t<boost::container::stored_size<uint32_t>>;

  // From `base_`; those before `front_` are forgotten.
  boost::container::vector<uint32_t, void, Sizes> offsets_;
  uint32_t front_ = 0;
  uint64_t base_ = 0;
};

}  // namespace bridge::hub
