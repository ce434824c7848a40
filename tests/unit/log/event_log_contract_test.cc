#include "tests/unit/log/event_log_contract.h"

#include <atomic>
#include <chrono>
#include <memory>

#include "tests/support/faulty_log.h"

#include "bridge/log/memory_log.h"

namespace bridge::log {
namespace {

using ::bridge::test::FaultyLog;
using ::bridge::test::LogUnderTest;

LogUnderTest MakeMemoryLog(const LogLimits& limits, uint64_t /*seed*/) {
  using Duration = base::MonotonicClock::duration;
  const auto elapsed = std::make_shared<std::atomic<Duration::rep>>(0);
  auto log = std::make_unique<MemoryLog>(MemoryLog::Options{
      .idempotency_window = limits.idempotency_window,
      .idempotency_keys_max = limits.idempotency_keys_max,
      .history = limits.history,
      .clock = [elapsed] { return base::MonotonicClock::now() + Duration(elapsed->load()); },
  });
  return {.log = std::move(log), .advance_clock = [elapsed](Duration by) { *elapsed += by.count(); }};
}

LogUnderTest MakeFaultyLog(const LogLimits& limits, uint64_t seed) {
  LogUnderTest under_test = MakeMemoryLog(limits, seed);
  auto faulty = std::make_unique<FaultyLog>(std::move(under_test.log),
                                            FaultyLog::Options{.seed = seed, .delay_max = absl::Microseconds(50)});
  under_test.break_store = [log = faulty.get()] { log->FailNextAppend(); };
  under_test.mend_store = [] {};  // it has failed once
  under_test.log = std::move(faulty);
  return under_test;
}

const LogKind kMemory = {.name = "Memory", .make = MakeMemoryLog};
const LogKind kFaulty = {.name = "Faulty",
                         .make = MakeFaultyLog,
                         .acked_ahead_max = FaultyLog::kEntriesHeldMax + MemoryLog::kEntriesPerCallMax};

INSTANTIATE_TEST_SUITE_P(, EventLogContract, testing::Values(kMemory, kFaulty), NameOfKind());

// What a store that stalls and fails does to its callers.
class EventLogOnFaultyStore : public test::EventLogTest {
 protected:
  FaultyLog& faulty() { return static_cast<FaultyLog&>(log()); }
};

TEST_P(EventLogOnFaultyStore, AStalledStoreAnswersNothingUntilItIsResumed) {
  Start();
  faulty().StallStore();
  const AppendAnswer append = Append(MakeRecords(3));
  test::Answer<Bounds> bounds;
  log().GetBounds(bounds.Callback());
  EXPECT_FALSE(append.HasAnswer());
  EXPECT_FALSE(bounds.HasAnswer());
  EXPECT_EQ(follower_.size(), 0);
  faulty().ResumeStore();
  EXPECT_TRUE(append.Wait().ok());
  EXPECT_TRUE(bounds.Wait().ok());
  EXPECT_TRUE(follower_.WaitForEntries(3));
}

TEST_P(EventLogOnFaultyStore, AFailedAppendFailsAllThatIsInFlightBehindIt) {
  Start();
  faulty().StallStore();
  faulty().FailNextAppend();
  std::vector<AppendAnswer> answers;
  for (int i = 0; i < 10; ++i) {
    answers.push_back(Append(MakeRecords(5)));
  }
  faulty().ResumeStore();
  for (const AppendAnswer& answer : answers) {
    EXPECT_EQ(answer.Wait().status().code(), absl::StatusCode::kUnavailable);
  }
  EXPECT_TRUE(Append(MakeRecords(5)).Wait().ok());
}

TEST_P(EventLogOnFaultyStore, ResendsWithKeysLoseNothingAndDoubleNothing) {
  Start();
  constexpr size_t kRequests = 60;
  constexpr size_t kPerRequest = 3;
  const auto request = [](size_t number) {
    std::vector<Record> records;
    for (size_t i = number * kPerRequest; i < (number + 1) * kPerRequest; ++i) {
      records.push_back(MakeRecord("orders", std::to_string(i), std::to_string(i)));
    }
    return records;
  };
  constexpr size_t kInFlight = 8;
  int failures = 0;
  for (size_t acked = 0; acked < kRequests;) {
    const uint64_t failures_seen = log().failures();
    std::vector<AppendAnswer> in_flight;
    for (size_t number = acked; number < std::min(acked + kInFlight, kRequests); ++number) {
      if (failures < 20 && in_flight.size() == kInFlight / 2) {
        faulty().FailNextAppend();
      }
      in_flight.push_back(Append(request(number), failures_seen));
    }
    bool has_failed = false;
    for (const AppendAnswer& answer : in_flight) {
      const bool is_acked = answer.Wait().ok();
      EXPECT_FALSE(is_acked && has_failed) << "an append overtook one that failed";
      has_failed = !is_acked;
      acked += is_acked ? 1 : 0;
    }
    failures += has_failed ? 1 : 0;
  }
  EXPECT_GT(failures, 0);
  ASSERT_TRUE(follower_.WaitForEntries(kRequests * kPerRequest));
  std::vector<std::string> expected;
  for (size_t i = 0; i < kRequests * kPerRequest; ++i) {
    expected.push_back(std::to_string(i));
  }
  EXPECT_EQ(DataOf(follower_.entries()), expected);
}

TEST_P(EventLogOnFaultyStore, AFailedReadIsUnavailable) {
  Start();
  MustAppend(MakeRecords(3));
  faulty().FailNextRead();
  EXPECT_EQ(Read({.after = At(0)}).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReadAll(0).size(), 3);
}

INSTANTIATE_TEST_SUITE_P(, EventLogOnFaultyStore, testing::Values(kFaulty), NameOfKind());

}  // namespace
}  // namespace bridge::log
