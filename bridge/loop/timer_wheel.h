#pragma once

#include <array>
#include <bitset>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include <boost/intrusive/list.hpp>

#include "bridge/base/clock.h"

namespace bridge::loop {

// Something that happens once, at a time. Derive from it; 40 bytes, no allocation. Lives on its EventLoop. Destroying
// it cancels it.
class Timer {
 public:
  Timer() = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  bool is_scheduled() const { return hook_.is_linked(); }

 protected:
  virtual ~Timer() = default;

 private:
  friend class TimerWheel;
  using Hook = boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

  // May schedule this timer again, and may destroy it.
  virtual void OnTimer() = 0;

  Hook hook_;
  uint64_t deadline_tick_ = 0;
};

// A hashed timer wheel: scheduling and cancelling cost the same with ten timers and with a million.
//
// Not thread-safe. Timers fire late by up to a tick, never early.
class TimerWheel {
 public:
  static constexpr std::chrono::milliseconds kTick{8};

  explicit TimerWheel(base::MonotonicTime now) : start_(now) {}

  // Schedules `timer`, which may be scheduled already, for `when`.
  void Schedule(Timer& timer, base::MonotonicTime when);
  static void Cancel(Timer& timer) { timer.hook_.unlink(); }

  // Fires what is due at `now`.
  void Advance(base::MonotonicTime now);

  // When Advance has to be called next at the latest, none where no timer is scheduled.
  std::optional<base::MonotonicTime> NextTime() const;

 private:
  static constexpr size_t kSlots = 2048;
  using Slot = boost::intrusive::list<Timer, boost::intrusive::member_hook<Timer, Timer::Hook, &Timer::hook_>,
                                      boost::intrusive::constant_time_size<false>>;

  uint64_t TickAtOrAfter(base::MonotonicTime time) const;

  const base::MonotonicTime start_;
  // Every tick up to this one has fired.
  uint64_t current_tick_ = 0;
  std::array<Slot, kSlots> slots_;
};

}  // namespace bridge::loop
