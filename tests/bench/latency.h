#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace bridge::bench {

// Durations in buckets that are at most 1/64 wide of what they hold, from 1 ns on. Recording costs a few instructions.
class Latency {
 public:
  void Record(int64_t nanoseconds);
  void Clear() { *this = Latency(); }

  // The duration that the share `quantile` (0 to 1) of the records does not exceed, in milliseconds; 0 without records.
  double QuantileMs(double quantile) const;
  double MaxMs() const;

 private:
  static constexpr size_t kSubBuckets = 64;
  static constexpr size_t kBuckets = kSubBuckets * 59;

  static size_t BucketOf(uint64_t value);
  static uint64_t UpperBound(size_t bucket);

  std::array<uint64_t, kBuckets> counts_{};
  uint64_t total_ = 0;
  uint64_t max_ = 0;
};

}  // namespace bridge::bench
