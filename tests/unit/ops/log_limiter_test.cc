#include "bridge/ops/log_limiter.h"

#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace bridge::ops {
namespace {

using std::chrono::milliseconds;

TEST(LogLimiterTest, LetsOneLinePerWindowThroughAndCountsTheRest) {
  LogLimiter limiter(absl::Seconds(1));
  const base::MonotonicTime start;
  EXPECT_EQ(limiter.Admit(start), 0U);
  EXPECT_EQ(limiter.Admit(start), std::nullopt);
  EXPECT_EQ(limiter.Admit(start + milliseconds(999)), std::nullopt);
  EXPECT_EQ(limiter.Admit(start + milliseconds(1000)), 2U);
  EXPECT_EQ(limiter.Admit(start + milliseconds(1500)), std::nullopt);
  EXPECT_EQ(limiter.Admit(start + milliseconds(60000)), 1U);
  EXPECT_EQ(limiter.Admit(start + milliseconds(61000)), 0U);
}

TEST(LogLimiterTest, CountsEachLineOnceOnManyThreads) {
  constexpr int kThreads = 4;
  constexpr int kLines = 10'000;
  LogLimiter limiter(absl::Nanoseconds(1));
  std::atomic<uint64_t> lines = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kLines; ++i) {
        if (const std::optional<uint64_t> suppressed = limiter.Admit()) {
          lines += 1 + *suppressed;
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  lines += limiter.Admit(base::MonotonicClock::now() + std::chrono::hours(1)).value_or(0);
  EXPECT_EQ(lines, uint64_t{kThreads} * kLines);
}

}  // namespace
}  // namespace bridge::ops
