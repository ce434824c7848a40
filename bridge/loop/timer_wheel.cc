#include "bridge/loop/timer_wheel.h"

#include <algorithm>

namespace bridge::loop {

uint64_t TimerWheel::TickAtOrAfter(base::MonotonicTime time) const {
  if (time <= start_) {
    return 0;
  }
  return static_cast<uint64_t>((time - start_ + kTick - base::MonotonicClock::duration(1)) / kTick);
}

void TimerWheel::Schedule(Timer& timer, base::MonotonicTime when) {
  Cancel(timer);
  timer.deadline_tick_ = std::max(TickAtOrAfter(when), current_tick_ + 1);
  slots_[timer.deadline_tick_ % kSlots].push_back(timer);
}

void TimerWheel::Advance(base::MonotonicTime now) {
  const uint64_t now_tick = now <= start_ ? 0 : static_cast<uint64_t>((now - start_) / kTick);
  // One turn of the wheel visits every slot; after a long pause more turns would find nothing new.
  uint64_t tick = std::max(current_tick_ + 1, now_tick >= kSlots ? now_tick - kSlots + 1 : 0);
  for (; tick <= now_tick; ++tick) {
    current_tick_ = tick;
    Slot due;
    Slot& slot = slots_[tick % kSlots];
    for (auto it = slot.begin(); it != slot.end();) {
      Timer& timer = *it++;
      if (timer.deadline_tick_ <= now_tick) {
        timer.hook_.unlink();
        due.push_back(timer);
      }
    }
    while (!due.empty()) {
      Timer& timer = due.front();
      due.pop_front();
      timer.OnTimer();
    }
  }
  current_tick_ = std::max(current_tick_, now_tick);
}

std::optional<base::MonotonicTime> TimerWheel::NextTime() const {
  for (uint64_t tick = current_tick_ + 1; tick <= current_tick_ + kSlots; ++tick) {
    if (!slots_[tick % kSlots].empty()) {
      return start_ + tick * kTick;
    }
  }
  return std::nullopt;
}

}  // namespace bridge::loop
