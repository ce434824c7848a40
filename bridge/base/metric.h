#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "bridge/base/clock.h"

namespace bridge::base {

// A number that one thread changes and any thread reads: adding costs a plain load and store, no locked instruction.
// Relaxed: it orders nothing, and a reader may see it a moment late.
class Metric {
 public:
  void Add(uint64_t amount) {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  void Sub(uint64_t amount) {
    value_.store(value_.load(std::memory_order_relaxed) - amount, std::memory_order_relaxed);
  }
  void Set(uint64_t value) { value_.store(value, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// A number that many threads add to.
class SharedMetric {
 public:
  void Add(uint64_t amount) { value_.fetch_add(amount, std::memory_order_relaxed); }
  void Sub(uint64_t amount) { value_.fetch_sub(amount, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// Counts durations in buckets whose bounds double, from 0.1 ms to 26 s. One thread writes, any thread reads.
class LatencyHistogram {
 public:
  static constexpr size_t kBounds = 19;
  static double BoundSeconds(size_t bucket) { return 0.0001 * static_cast<double>(uint64_t{1} << bucket); }

  void Observe(MonotonicClock::duration latency, uint64_t times) {
    const double seconds = std::chrono::duration<double>(latency).count();
    size_t bucket = 0;
    while (bucket < kBounds && seconds > BoundSeconds(bucket)) {
      ++bucket;
    }
    buckets_[bucket].Add(times);
    sum_us_.Add(times * static_cast<uint64_t>(seconds * 1e6));
  }

  // The count of bucket `bucket` alone; bucket kBounds is what is longer than all bounds.
  uint64_t count(size_t bucket) const { return buckets_[bucket].value(); }
  double sum_seconds() const { return static_cast<double>(sum_us_.value()) / 1e6; }

 private:
  std::array<Metric, kBounds + 1> buckets_;
  Metric sum_us_;
};

}  // namespace bridge::base
