#pragma once

#include <chrono>

namespace bridge::base {

// Durations, ages and deadlines count on the monotonic clock: a wall clock that jumps changes none of them.
using MonotonicClock = std::chrono::steady_clock;
using MonotonicTime = MonotonicClock::time_point;

// A time or none, as a std::optional, but in the eight bytes of a time: for what there are many of.
class OptionalTime {
 public:
  OptionalTime() = default;
  OptionalTime& operator=(MonotonicTime time) {
    time_ = time;
    return *this;
  }

  void reset() { time_ = kNone; }
  bool has_value() const { return time_ != kNone; }
  explicit operator bool() const { return has_value(); }
  // REQUIRES: it has one.
  MonotonicTime operator*() const { return time_; }

 private:
  static constexpr MonotonicTime kNone = MonotonicTime::min();
  MonotonicTime time_ = kNone;
};

}  // namespace bridge::base
