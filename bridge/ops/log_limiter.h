#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "absl/time/time.h"

#include "bridge/base/clock.h"

namespace bridge::ops {

// Lets at most one line per window through, for errors that may repeat without end. Thread-safe.
//
//   if (const auto suppressed = accept_errors_.Admit()) {
//     ops::LogWarn("accept_failed", {{"error", error}, {"suppressed", *suppressed}});
//   }
class LogLimiter {
 public:
  explicit LogLimiter(absl::Duration window) : window_(absl::ToChronoNanoseconds(window)) {}

  // How many lines were kept back since the last one; nothing where this one is to be kept back too.
  std::optional<uint64_t> Admit(base::MonotonicTime now = base::MonotonicClock::now());

 private:
  const std::chrono::nanoseconds window_;
  // Both relaxed: they order nothing else, and a line counts with the one before or the one after.
  std::atomic<base::MonotonicTime> next_{base::MonotonicTime::min()};
  std::atomic<uint64_t> suppressed_{0};
};

}  // namespace bridge::ops
