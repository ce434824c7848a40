// A part of PatternIndex; for this folder only.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>

#include "absl/container/inlined_vector.h"

namespace bridge::topic {

// A set of pointer-like values: a sorted vector, because there are many sets of one value and few large ones, which are
// walked for each event. One or two values take no memory of their own; adding to or removing from a set of 10,000
// moves 40 KB on average. Not thread-safe.
template <typename T>
class LeanSet {
 public:
  void Insert(T value) {
    const auto place = std::lower_bound(values_.begin(), values_.end(), value, std::less<T>());
    if (place == values_.end() || *place != value) {
      values_.insert(place, value);
    }
  }

  void Erase(T value) {
    const auto place = std::lower_bound(values_.begin(), values_.end(), value, std::less<T>());
    if (place == values_.end() || *place != value) {
      return;
    }
    values_.erase(place);
    if (values_.size() <= values_.capacity() / 4) {
      values_.shrink_to_fit();
    }
  }

  bool empty() const { return values_.empty(); }
  size_t size() const { return values_.size(); }
  auto begin() const { return values_.begin(); }
  auto end() const { return values_.end(); }

 private:
  // As many as fit beside the vector's size where its pointer and capacity would be.
  static constexpr size_t kBytes = 2 * sizeof(void*);
  // NOLINTNEXTLINE(bugprone-sizeof-expression): T may be a pointer, and is meant
  static constexpr size_t kInlined = kBytes > sizeof(T) ? kBytes / sizeof(T) : 1;

  absl::InlinedVector<T, kInlined> values_;
};

}  // namespace bridge::topic
