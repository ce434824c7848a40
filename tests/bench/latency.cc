#include "tests/bench/latency.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace bridge::bench {
namespace {

constexpr double kNsPerMs = 1e6;

}  // namespace

size_t Latency::BucketOf(uint64_t value) {
  if (value < kSubBuckets) return value;
  // The top seven bits: the leading one says the power of two, the six below it the bucket within.
  const auto shift = static_cast<size_t>(std::bit_width(value)) - 7;
  return shift * kSubBuckets + (value >> shift);
}

uint64_t Latency::UpperBound(size_t bucket) {
  if (bucket < 2 * kSubBuckets) return bucket;
  const size_t shift = bucket / kSubBuckets - 1;
  return ((bucket % kSubBuckets + kSubBuckets + 1) << shift) - 1;
}

void Latency::Record(int64_t nanoseconds) {
  const auto value = static_cast<uint64_t>(std::max<int64_t>(nanoseconds, 0));
  ++counts_[BucketOf(value)];
  ++total_;
  max_ = std::max(max_, value);
}

double Latency::QuantileMs(double quantile) const {
  const auto rank = static_cast<uint64_t>(std::ceil(quantile * static_cast<double>(total_)));
  uint64_t seen = 0;
  for (size_t bucket = 0; bucket < kBuckets; ++bucket) {
    seen += counts_[bucket];
    if (seen > 0 && seen >= rank) return static_cast<double>(std::min(UpperBound(bucket), max_)) / kNsPerMs;
  }
  return 0;
}

double Latency::MaxMs() const { return static_cast<double>(max_) / kNsPerMs; }

}  // namespace bridge::bench
