#include "bridge/loop/timer_wheel.h"

#include <deque>
#include <functional>
#include <random>

#include <gtest/gtest.h>

namespace bridge::loop {
namespace {

using std::chrono::milliseconds;

class CallTimer final : public Timer {
 public:
  explicit CallTimer(std::function<void()> on_time = [] {}) : on_time_(std::move(on_time)) {}

 private:
  void OnTimer() override { on_time_(); }
  std::function<void()> on_time_;
};

constexpr base::MonotonicTime kStart{std::chrono::hours(1)};

TEST(TimerWheel, FiresNeverEarlyAndLateByOneTickAtMost) {
  std::mt19937 random(7);
  TimerWheel wheel(kStart);
  std::deque<CallTimer> timers;
  base::MonotonicTime now = kStart;
  int fired = 0;
  for (int i = 0; i < 2000; ++i) {
    const base::MonotonicTime when = kStart + milliseconds(random() % 60'000);
    timers.emplace_back([&, when] {
      ++fired;
      EXPECT_GE(now, when);
      EXPECT_LE(now, when + TimerWheel::kTick + milliseconds(1));
    });
    wheel.Schedule(timers.back(), when);
  }
  for (; now < kStart + std::chrono::seconds(61); now += milliseconds(1)) {
    wheel.Advance(now);
  }
  EXPECT_EQ(fired, 2000);
  EXPECT_FALSE(wheel.NextTime());
}

TEST(TimerWheel, SleepingUntilNextTimeMissesNothing) {
  std::mt19937 random(11);
  TimerWheel wheel(kStart);
  std::deque<CallTimer> timers;
  base::MonotonicTime now = kStart;
  int fired = 0;
  for (int i = 0; i < 100; ++i) {
    const base::MonotonicTime when = kStart + milliseconds(random() % 100'000);
    timers.emplace_back([&, when] {
      ++fired;
      EXPECT_LE(now, when + TimerWheel::kTick);
    });
    wheel.Schedule(timers.back(), when);
  }
  while (const auto next = wheel.NextTime()) {
    now = *next;
    wheel.Advance(now);
  }
  EXPECT_EQ(fired, 100);
}

TEST(TimerWheel, FiresAllAfterALongPause) {
  TimerWheel wheel(kStart);
  int fired = 0;
  std::deque<CallTimer> timers;
  for (int i = 1; i <= 50; ++i) {
    timers.emplace_back([&] { ++fired; });
    wheel.Schedule(timers.back(), kStart + std::chrono::seconds(i));
  }
  wheel.Advance(kStart + std::chrono::hours(5));
  EXPECT_EQ(fired, 50);
}

TEST(TimerWheel, TimersMayScheduleThemselvesAndEndOthers) {
  TimerWheel wheel(kStart);
  int fired = 0;
  base::MonotonicTime now = kStart;
  CallTimer* self = nullptr;
  auto other = std::make_unique<CallTimer>([&] { FAIL() << "was ended"; });
  CallTimer timer([&] {
    other = nullptr;
    if (++fired < 5) {
      wheel.Schedule(*self, now + milliseconds(20));
    }
  });
  self = &timer;
  wheel.Schedule(timer, now + milliseconds(10));
  wheel.Schedule(*other, now + milliseconds(11));
  for (; now < kStart + milliseconds(500); now += milliseconds(1)) {
    wheel.Advance(now);
  }
  EXPECT_EQ(fired, 5);
}

TEST(TimerWheel, SchedulingAgainReplacesTheTime) {
  TimerWheel wheel(kStart);
  int fired = 0;
  CallTimer timer([&] { ++fired; });
  wheel.Schedule(timer, kStart + milliseconds(100));
  wheel.Schedule(timer, kStart + milliseconds(1000));
  wheel.Advance(kStart + milliseconds(500));
  EXPECT_EQ(fired, 0);
  TimerWheel::Cancel(timer);
  wheel.Advance(kStart + milliseconds(2000));
  EXPECT_EQ(fired, 0);
}

}  // namespace
}  // namespace bridge::loop
