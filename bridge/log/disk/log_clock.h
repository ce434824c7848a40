#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "bridge/base/clock.h"

namespace bridge::log::disk {

// A durable log's own time: the age of records over restarts. It counts the time that a log is open, and the time
// between two openings where the machine was not started anew; so whatever a wall clock says, a record's age is never
// more than the time that passed.
//
// Thread-safe as far as its sources are.
class LogClock {
 public:
  using Time = std::chrono::nanoseconds;

  struct Sources {
    std::function<base::MonotonicTime()> monotonic = base::MonotonicClock::now;
    // Since the machine's start, its sleep included.
    std::function<std::chrono::nanoseconds()> since_boot = SinceBoot;
    // Names that start; empty where it is not known.
    std::string boot_id = BootId();
  };

  // What is stored, for the next opening.
  struct Mark {
    Time time = {};
    std::chrono::nanoseconds since_boot = {};
    std::string boot_id;
  };

  // It has got to the later one of `last`, counted on, and `at_least`.
  LogClock(Sources sources, const Mark& last, Time at_least = {});

  base::MonotonicTime Monotonic() const { return sources_.monotonic(); }
  Time Now() const { return At(Monotonic()); }
  Mark MarkNow() const;

  // The two clocks run alike while the log is open.
  Time At(base::MonotonicTime monotonic) const { return monotonic.time_since_epoch() + ahead_; }
  base::MonotonicTime MonotonicAt(Time time) const { return base::MonotonicTime(time - ahead_); }

  static std::chrono::nanoseconds SinceBoot();
  static std::string BootId();

 private:
  const Sources sources_;
  // Log time less monotonic time.
  const std::chrono::nanoseconds ahead_;
};

}  // namespace bridge::log::disk
