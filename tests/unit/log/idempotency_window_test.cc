#include "bridge/log/idempotency_window.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/random_seed.h"

namespace bridge::log {
namespace {

using std::chrono::seconds;
using ::testing::Eq;
using ::testing::Optional;

constexpr base::MonotonicTime kStart{std::chrono::hours(1)};

Record WithKey(const std::string& key) {
  Record record;
  record.topic = "orders";
  record.idempotency_key = key;
  return record;
}

TEST(IdempotencyWindow, FindsTheFirstSequenceOfAKey) {
  IdempotencyWindow window({.age_max = seconds(10), .keys_max = 100});
  EXPECT_EQ(window.FindOrRemember(WithKey("a"), 1, kStart), std::nullopt);
  EXPECT_EQ(window.FindOrRemember(WithKey("b"), 2, kStart), std::nullopt);
  EXPECT_THAT(window.FindOrRemember(WithKey("a"), 3, kStart), Optional(Eq(1)));
  EXPECT_THAT(window.FindOrRemember(WithKey("b"), 3, kStart), Optional(Eq(2)));
  EXPECT_EQ(window.size(), 2);
}

TEST(IdempotencyWindow, ForgetsAKeyByTheAgeOfItsFirstRecord) {
  IdempotencyWindow window({.age_max = seconds(10), .keys_max = 100});
  window.FindOrRemember(WithKey("a"), 1, kStart);
  EXPECT_THAT(window.FindOrRemember(WithKey("a"), 2, kStart + seconds(9)), Optional(Eq(1)));
  EXPECT_EQ(window.FindOrRemember(WithKey("a"), 2, kStart + seconds(10)), std::nullopt);
  EXPECT_THAT(window.FindOrRemember(WithKey("a"), 3, kStart + seconds(19)), Optional(Eq(2)));
}

TEST(IdempotencyWindow, ForgetsWhatWasNotAppendedAfterAll) {
  IdempotencyWindow window({.age_max = seconds(10), .keys_max = 100});
  for (uint64_t sequence = 1; sequence <= 5; ++sequence) {
    window.FindOrRemember(WithKey(absl::StrCat(sequence)), sequence, kStart);
  }
  window.ForgetFrom(3);
  EXPECT_EQ(window.size(), 2);
  EXPECT_THAT(window.FindOrRemember(WithKey("2"), 3, kStart), Optional(Eq(2)));
  EXPECT_EQ(window.FindOrRemember(WithKey("5"), 3, kStart), std::nullopt);
  EXPECT_THAT(window.FindOrRemember(WithKey("5"), 4, kStart), Optional(Eq(3)));
}

TEST(IdempotencyWindow, AWindowWithTheSameKeyTakesTheSameFingerprints) {
  const Fingerprinter::Key key = Fingerprinter::RandomKey();
  IdempotencyWindow first({.age_max = seconds(10), .keys_max = 100}, key);
  IdempotencyWindow second({.age_max = seconds(10), .keys_max = 100}, key);
  IdempotencyWindow other({.age_max = seconds(10), .keys_max = 100});
  EXPECT_EQ(first.FingerprintOf(WithKey("a")), second.FingerprintOf(WithKey("a")));
  EXPECT_FALSE(first.FingerprintOf(WithKey("a")) == other.FingerprintOf(WithKey("a")));
}

TEST(IdempotencyWindow, ForgetsTheOldestWhereThereIsNoRoomAndCountsIt) {
  IdempotencyWindow window({.age_max = seconds(10), .keys_max = 2});
  window.FindOrRemember(WithKey("a"), 1, kStart);
  window.FindOrRemember(WithKey("b"), 2, kStart);
  EXPECT_EQ(window.evicted_total(), 0);
  window.FindOrRemember(WithKey("c"), 3, kStart);
  EXPECT_EQ(window.evicted_total(), 1);
  EXPECT_EQ(window.size(), 2);
  EXPECT_THAT(window.FindOrRemember(WithKey("b"), 4, kStart), Optional(Eq(2)));
  EXPECT_EQ(window.FindOrRemember(WithKey("a"), 4, kStart), std::nullopt);
}

TEST(IdempotencyWindow, ForgettingWhatIsTooOldAnywayIsNotCounted) {
  IdempotencyWindow window({.age_max = seconds(10), .keys_max = 1});
  window.FindOrRemember(WithKey("a"), 1, kStart);
  window.FindOrRemember(WithKey("b"), 2, kStart + seconds(10));
  EXPECT_EQ(window.evicted_total(), 0);
}

TEST(IdempotencyWindow, DropsWhatIsTooOldButOnlySoManyAtATime) {
  IdempotencyWindow window({.age_max = seconds(10), .keys_max = 100});
  for (uint64_t i = 1; i <= 10; ++i) {
    window.FindOrRemember(WithKey(absl::StrCat(i)), i, kStart + seconds(i));
  }
  window.DropOld(kStart + seconds(16), 4);
  EXPECT_EQ(window.size(), 6);
  window.DropOld(kStart + seconds(16), 4);
  EXPECT_EQ(window.size(), 4);
  EXPECT_THAT(window.FindOrRemember(WithKey("7"), 11, kStart + seconds(16)), Optional(Eq(7)));
}

TEST(IdempotencyWindow, AKeyThatCameAgainOutlivesItsFirstTime) {
  IdempotencyWindow window({.age_max = seconds(10), .keys_max = 100});
  window.FindOrRemember(WithKey("a"), 1, kStart);
  window.FindOrRemember(WithKey("a"), 2, kStart + seconds(10));
  window.DropOld(kStart + seconds(10), 100);
  EXPECT_EQ(window.size(), 1);
  EXPECT_THAT(window.FindOrRemember(WithKey("a"), 3, kStart + seconds(10)), Optional(Eq(2)));
}

TEST(IdempotencyWindow, RemembersNothingWithoutRoom) {
  IdempotencyWindow window({.age_max = seconds(10), .keys_max = 0});
  EXPECT_EQ(window.FindOrRemember(WithKey("a"), 1, kStart), std::nullopt);
  EXPECT_EQ(window.FindOrRemember(WithKey("a"), 2, kStart), std::nullopt);
  EXPECT_EQ(window.size(), 0);
  EXPECT_EQ(window.evicted_total(), 0);
}

TEST(IdempotencyWindow, BehavesAsAMapFromKeysToFirstTimes) {
  const uint64_t seed = test::RandomSeed();
  SCOPED_TRACE(absl::StrCat("BRIDGE_TEST_SEED=", seed));
  std::mt19937_64 random(seed);
  struct First {
    uint64_t sequence = 0;
    base::MonotonicTime at;
  };
  std::map<std::string, First> model;
  IdempotencyWindow window({.age_max = seconds(50), .keys_max = 1'000'000});
  base::MonotonicTime now = kStart;
  for (uint64_t sequence = 1; sequence <= 20'000; ++sequence) {
    now += seconds(random() % 2);
    const std::string key = absl::StrCat(random() % 100);
    const auto known = model.find(key);
    std::optional<uint64_t> expected;
    if (known != model.end() && now - known->second.at < seconds(50)) {
      expected = known->second.sequence;
    } else {
      model[key] = {.sequence = sequence, .at = now};
    }
    ASSERT_EQ(window.FindOrRemember(WithKey(key), sequence, now), expected) << "at " << sequence;
    if (random() % 10 == 0) {
      window.DropOld(now, random() % 4);
    }
  }
}

}  // namespace
}  // namespace bridge::log
