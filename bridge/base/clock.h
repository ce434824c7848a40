#pragma once

#include <chrono>

namespace bridge::base {

// Durations, ages and deadlines count on the monotonic clock: a wall clock that jumps changes none of them.
using MonotonicClock = std::chrono::steady_clock;
using MonotonicTime = MonotonicClock::time_point;

}  // namespace bridge::base
