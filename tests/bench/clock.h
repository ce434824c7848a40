#pragma once

#include <cstdint>
#include <time.h>

namespace bridge::bench {

// The monotonic clock in nanoseconds: one clock for all processes of this machine, so that a publisher's time stamp
// means something to a receiver.
inline int64_t NowNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace bridge::bench
