#include "bridge/rpc/rate_limiter.h"

#include <chrono>
#include <memory>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace bridge::rpc {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class RateLimiterTest : public ::testing::Test {
 protected:
  base::MonotonicTime now_ = base::MonotonicTime(std::chrono::hours(1));
};

TEST_F(RateLimiterTest, ASecondsWorthMayGoAtOnceAndThenNoneUntilItIsThere) {
  RateLimiter limiter({.events_per_second = 10, .bytes_per_second = 0});
  const auto allowance = limiter.Of("a", now_);
  for (int i = 0; i < 11; ++i) {
    EXPECT_EQ(allowance->Wait(now_), seconds(0)) << i;
    allowance->Take(1, 1'000'000, now_);
  }
  EXPECT_EQ(allowance->Wait(now_), milliseconds(100));
  now_ += milliseconds(100);
  EXPECT_EQ(allowance->Wait(now_), seconds(0));
  EXPECT_FALSE(allowance->IsWhole(now_));
  EXPECT_TRUE(allowance->IsWhole(now_ + seconds(1)));
}

TEST_F(RateLimiterTest, ALargeRequestIsPaidForAfterwards) {
  RateLimiter limiter({.events_per_second = 10, .bytes_per_second = 1000});
  const auto allowance = limiter.Of("a", now_);
  allowance->Take(1, 4000, now_);
  EXPECT_EQ(allowance->Wait(now_), seconds(3));
  allowance->Take(99, 0, now_);
  EXPECT_EQ(allowance->Wait(now_), seconds(9)) << "the longer of the two";
}

TEST_F(RateLimiterTest, WhatWasLeftLongAgoDoesNotAddUp) {
  RateLimiter limiter({.events_per_second = 10, .bytes_per_second = 0});
  const auto allowance = limiter.Of("a", now_);
  now_ += std::chrono::hours(1);
  allowance->Take(20, 0, now_);
  EXPECT_EQ(allowance->Wait(now_), seconds(1));
}

TEST_F(RateLimiterTest, APublisherHasOneAllowanceAndNobodyElses) {
  RateLimiter limiter({.events_per_second = 10, .bytes_per_second = 0});
  limiter.Of("a", now_)->Take(100, 0, now_);
  EXPECT_EQ(limiter.Of("a", now_)->Wait(now_), seconds(9));
  EXPECT_EQ(limiter.Of("b", now_)->Wait(now_), seconds(0));
}

TEST_F(RateLimiterTest, IsNotThereWhereThereIsNoLimit) {
  RateLimiter limiter({});
  EXPECT_EQ(limiter.Of("a", now_), nullptr);
}

TEST_F(RateLimiterTest, ManyPublishersAreBounded) {
  RateLimiter limiter({.events_per_second = 1, .bytes_per_second = 0});
  for (size_t i = 0; i < RateLimiter::kPublishersMax; ++i) {
    limiter.Of(absl::StrCat(i), now_)->Take(100, 0, now_);
  }
  const auto first_too_many = limiter.Of("x", now_);
  EXPECT_EQ(limiter.Of("y", now_), first_too_many);
  EXPECT_EQ(limiter.Of("0", now_)->Wait(now_), seconds(99)) << "who was there is not forgotten";
  // When the others could have been forgotten, there is room again.
  now_ += seconds(200);
  EXPECT_NE(limiter.Of("z", now_), first_too_many);
}

}  // namespace
}  // namespace bridge::rpc
