#include "bridge/log/memory_log.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/answer.h"
#include "tests/support/event_log_fixture.h"
#include "tests/support/recording_follower.h"

namespace bridge::log {
namespace {

using ::bridge::test::MakeRecord;
using ::bridge::test::MakeRecords;

using AppendAnswer = test::Answer<std::vector<Appended>>;

AppendAnswer Append(MemoryLog& log, std::vector<Record> records) {
  AppendAnswer answer;
  log.Append(std::move(records), answer.Callback());
  return answer;
}

Bounds BoundsOf(MemoryLog& log) {
  test::Answer<Bounds> answer;
  log.GetBounds(answer.Callback());
  return answer.Wait().value();
}

TEST(MemoryLog, HasTheGivenEpoch) {
  MemoryLog log({.epoch = 7});
  EXPECT_EQ(BoundsOf(log).epoch, 7);
  EXPECT_EQ(Append(log, MakeRecords(1)).Wait()->at(0).position, (Position{.epoch = 7, .sequence = 1}));
}

TEST(MemoryLog, HasAnEpochOfItsOwnWhereNoneIsGiven) {
  MemoryLog first({});
  MemoryLog second({});
  EXPECT_NE(BoundsOf(first).epoch, 0);
  EXPECT_NE(BoundsOf(first).epoch, BoundsOf(second).epoch);
}

TEST(MemoryLog, WorksWithoutAFollower) {
  MemoryLog log({.history = {.events_max = 10, .bytes_max = 1 << 20, .age_max = std::chrono::hours(1)}});
  EXPECT_TRUE(Append(log, MakeRecords(3)).Wait().ok());
  EXPECT_EQ(BoundsOf(log).newest, 3);
}

TEST(MemoryLog, KeepsNothingWithoutHistory) {
  MemoryLog log({});
  ASSERT_TRUE(Append(log, MakeRecords(3)).Wait().ok());
  EXPECT_EQ(BoundsOf(log).oldest, 4);
  EXPECT_EQ(BoundsOf(log).newest, 3);
  EXPECT_EQ(log.stats().store_events, 0);
}

TEST(MemoryLog, EntriesAreReceivedWhenTheyAreAppended) {
  const base::MonotonicTime now{std::chrono::hours(5)};
  test::RecordingFollower follower;
  MemoryLog log({.clock = [now] { return now; }});
  log.Follow(&follower, {});
  Append(log, MakeRecords(2));
  ASSERT_TRUE(follower.WaitForEntries(2));
  for (const Entry& entry : follower.entries()) {
    EXPECT_EQ(entry.received, now);
  }
}

TEST(MemoryLog, ALargeRequestIsHandedOverInBoundedPieces) {
  constexpr size_t kRecords = 5000;
  test::RecordingFollower follower;
  MemoryLog log({});
  log.Follow(&follower, {});
  const auto answer = Append(log, MakeRecords(kRecords)).Wait();
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->size(), kRecords);
  EXPECT_EQ(follower.size(), kRecords);
  EXPECT_EQ(follower.largest_call(), MemoryLog::kEntriesPerCallMax);
}

TEST(MemoryLog, AStallInALargeRequestWithholdsItsAck) {
  constexpr size_t kRecords = 3 * MemoryLog::kEntriesPerCallMax;
  test::RecordingFollower follower;
  follower.StallAt(1);
  MemoryLog log({});
  log.Follow(&follower, {});
  const AppendAnswer answer = Append(log, MakeRecords(kRecords));
  ASSERT_TRUE(follower.WaitForEntries(1));
  EXPECT_EQ(BoundsOf(log).newest, MemoryLog::kEntriesPerCallMax);
  EXPECT_FALSE(answer.HasAnswer());
  follower.NeverStall();
  log.ResumeFollow();
  EXPECT_TRUE(answer.Wait().ok());
  EXPECT_EQ(follower.size(), kRecords);
}

// Stalls in each call, having ended that stall already.
class ResumingFollower final : public Follower {
 public:
  explicit ResumingFollower(std::unique_ptr<MemoryLog>* log) : log_(*log) {}

  void OnEpoch(uint64_t /*epoch*/, uint64_t /*head*/) override {}
  void OnCaughtUp() override {}
  void OnGap(uint64_t /*head*/, Missing /*why*/) override {}
  Flow OnEntries(absl::Span<const Entry> /*entries*/) override {
    log_->ResumeFollow();
    return Flow::kStall;
  }

 private:
  const std::unique_ptr<MemoryLog>& log_;
};

TEST(MemoryLog, AResumeDuringTheCallEndsTheStallThatItReturns) {
  std::unique_ptr<MemoryLog> log;
  ResumingFollower follower(&log);
  log = std::make_unique<MemoryLog>(MemoryLog::Options{});
  log->Follow(&follower, {});
  EXPECT_TRUE(Append(*log, MakeRecords(3 * MemoryLog::kEntriesPerCallMax)).Wait().ok());
  EXPECT_TRUE(Append(*log, MakeRecords(1)).Wait().ok());
}

TEST(MemoryLog, CountsTheKeysThatItForgetsForWantOfRoom) {
  MemoryLog log({.idempotency_window = std::chrono::minutes(2), .idempotency_keys_max = 2});
  for (const char* key : {"a", "b", "c", "c"}) {
    ASSERT_TRUE(Append(log, {MakeRecord("t", "", key)}).Wait().ok());
  }
  EXPECT_EQ(log.stats().idempotency_keys, 2);
  EXPECT_EQ(log.stats().idempotency_keys_evicted, 1);
  EXPECT_EQ(Append(log, {MakeRecord("t", "", "a")}).Wait()->at(0).position.sequence, 4);
}

TEST(MemoryLog, ForgetsWhatIsOldWhileNothingIsAppended) {
  const auto now = std::make_shared<std::atomic<std::chrono::minutes>>(std::chrono::minutes(1));
  MemoryLog log({.idempotency_window = std::chrono::minutes(2),
                 .idempotency_keys_max = 100,
                 .history = {.events_max = 10, .bytes_max = 1 << 20, .age_max = std::chrono::minutes(2)},
                 .clock = [now] { return base::MonotonicTime(now->load()); }});
  ASSERT_TRUE(Append(log, {MakeRecord("t", "", "key")}).Wait().ok());
  EXPECT_EQ(log.stats().store_events, 1);
  EXPECT_EQ(log.stats().idempotency_keys, 1);
  *now = std::chrono::minutes(10);
  BoundsOf(log);
  EXPECT_EQ(log.stats().store_events, 0);
  EXPECT_EQ(log.stats().store_bytes, 0);
  EXPECT_EQ(log.stats().idempotency_keys, 0);
}

TEST(MemoryLog, ACallInTheEndIsAnsweredAtOnce) {
  test::RecordingFollower follower;
  follower.StallAt(1);
  AppendAnswer append;
  test::Answer<Bounds> bounds;
  {
    MemoryLog log({});
    log.Follow(&follower, {});
    Append(log, MakeRecords(1));
    ASSERT_TRUE(follower.WaitForEntries(1));
    log.Append(MakeRecords(1), [&log, on_append = append.Callback(), on_bounds = bounds.Callback()](const auto& ended) {
      EXPECT_EQ(ended.status().code(), absl::StatusCode::kUnavailable);
      log.Append(MakeRecords(1), on_append);
      log.GetBounds(on_bounds);
    });
  }
  EXPECT_EQ(append.Wait().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(bounds.Wait().status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace bridge::log
