#pragma once

#include <atomic>
#include <cstdint>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/support/temp_dir.h"

namespace bridge::test {

// The wall clock of the processes that this one starts while it lives: the machine's, until it is set. Their monotonic
// clocks are the machine's at all times. Not for a sanitizer's build, which has to be loaded first itself.
class WallClock {
 public:
  WallClock();
  ~WallClock();
  WallClock(const WallClock&) = delete;
  WallClock& operator=(const WallClock&) = delete;

  // Sets it forward, or back, at once.
  void Jump(absl::Duration by);
  absl::Time Now() const;

 private:
  TempDir dir_;
  // In nanoseconds, before the machine's; in a file that the processes have mapped.
  std::atomic<int64_t>* ahead_ = nullptr;
};

}  // namespace bridge::test
