#pragma once

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace demo {

// SIGINT and SIGTERM, which are to be waited for and not handled. Made before any thread, because threads inherit the
// mask.
class StopSignals {
 public:
  StopSignals() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGINT);
    sigaddset(&set_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  }

  // Waits until `time` and says whether one came.
  bool Await(absl::Time time) const {
    while (true) {
      const timespec timeout = absl::ToTimespec(std::max(time - absl::Now(), absl::ZeroDuration()));
      if (sigtimedwait(&set_, nullptr, &timeout) >= 0) return true;
      if (errno != EINTR) return false;
    }
  }

 private:
  sigset_t set_ = {};
};

}  // namespace demo
