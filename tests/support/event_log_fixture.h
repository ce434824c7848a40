#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "tests/support/answer.h"
#include "tests/support/random_seed.h"
#include "tests/support/recording_follower.h"

#include "bridge/base/clock.h"
#include "bridge/log/event_log.h"
#include "bridge/log/history.h"

namespace bridge::test {

// What a test wants its log to be like.
struct LogLimits {
  base::MonotonicClock::duration idempotency_window = std::chrono::minutes(2);
  size_t idempotency_keys_max = 1000;
  log::History::Limits history = {
      .events_max = 100'000, .bytes_max = size_t{1} << 30, .age_max = std::chrono::hours(1)};
};

// A log to be tested, and how.
struct LogUnderTest {
  std::unique_ptr<log::EventLog> log;
  // Lets time pass for it; empty where a test cannot.
  std::function<void(base::MonotonicClock::duration)> advance_clock;
  // Has the next append fail, and has the log work again, sooner or later. REQUIRES: nothing is under way. Empty where
  // it does not fail.
  std::function<void()> break_store = {};
  std::function<void()> mend_store = {};
};

// An implementation of EventLog.
struct LogKind {
  std::string name;
  std::function<LogUnderTest(const LogLimits&, uint64_t seed)> make;
  // A request's records stand together in the log.
  bool is_contiguous = true;
  // Its history has a bound in events.
  bool has_events_max = true;
  // The records that may be acked before the follower has them: what it has in hand when the follower stalls.
  size_t acked_ahead_max = 0;
  // An ephemeral record stands where it was appended.
  bool has_ordered_ephemeral = true;

  friend void PrintTo(const LogKind& kind, std::ostream* out) { *out << kind.name; }
};

inline log::Record MakeRecord(std::string_view topic, std::string_view data, std::string_view key = "") {
  log::Record record;
  record.topic = topic;
  record.data = data;
  record.idempotency_key = key;
  return record;
}

inline log::Record MakeEphemeral(std::string_view topic, std::string_view data) {
  log::Record record = MakeRecord(topic, data);
  record.ephemeral = true;
  return record;
}

// `count` records with the data "0", "1", ...
inline std::vector<log::Record> MakeRecords(size_t count, std::string_view topic = "orders") {
  std::vector<log::Record> records;
  for (size_t i = 0; i < count; ++i) {
    records.push_back(MakeRecord(topic, std::to_string(i)));
  }
  return records;
}

inline std::vector<std::string> DataOf(const std::vector<log::Entry>& entries) {
  std::vector<std::string> data;
  for (const log::Entry& entry : entries) {
    data.push_back(entry.record.data);
  }
  return data;
}

inline std::vector<uint64_t> SequencesOf(const std::vector<log::Entry>& entries) {
  std::vector<uint64_t> sequences;
  for (const log::Entry& entry : entries) {
    sequences.push_back(entry.sequence);
  }
  return sequences;
}

// A log of some kind with a follower, and calls that wait for their answers.
class EventLogTest : public testing::TestWithParam<LogKind> {
 protected:
  using AppendAnswer = Answer<std::vector<log::Appended>>;

  ~EventLogTest() override {
    End();
    EXPECT_THAT(follower_.violations(), testing::IsEmpty());
  }

  void Start(const LogLimits& limits = {}) {
    under_test_ = GetParam().make(limits, seed_);
    log().Follow(&follower_, {});
    ASSERT_TRUE(follower_.WaitUntilCaughtUp());
  }
  void End() { under_test_.log.reset(); }

  log::EventLog& log() { return *under_test_.log; }
  bool CanBreak() const { return under_test_.break_store != nullptr; }
  void BreakStore() { under_test_.break_store(); }
  void MendStore() { under_test_.mend_store(); }

  bool CanAdvanceClock() const { return under_test_.advance_clock != nullptr; }
  void AdvanceClock(base::MonotonicClock::duration by) { under_test_.advance_clock(by); }

  log::Position At(uint64_t sequence) const { return {.epoch = follower_.epoch(), .sequence = sequence}; }

  AppendAnswer Append(std::vector<log::Record> records) {
    AppendAnswer answer;
    log().Append(std::move(records), answer.Callback());
    return answer;
  }
  AppendAnswer Append(std::vector<log::Record> records, uint64_t failures_seen) {
    AppendAnswer answer;
    log().Append(std::move(records), failures_seen, answer.Callback());
    return answer;
  }

  // Appends, and returns the sequences; fails the test where a record is not accepted.
  std::vector<uint64_t> MustAppend(std::vector<log::Record> records) {
    std::vector<uint64_t> sequences;
    const auto answer = Append(std::move(records)).Wait();
    EXPECT_TRUE(answer.ok()) << answer.status();
    for (const log::Appended& appended : answer.value_or(std::vector<log::Appended>())) {
      EXPECT_TRUE(appended.status.ok()) << appended.status;
      EXPECT_EQ(appended.position.epoch, follower_.epoch());
      sequences.push_back(appended.position.sequence);
    }
    return sequences;
  }
  uint64_t MustAppendOne(log::Record record) { return MustAppend({std::move(record)}).at(0); }

  absl::StatusOr<log::Page> Read(const log::EventLog::ReadOptions& options) {
    Answer<log::Page> answer;
    log().Read(options, answer.Callback());
    return answer.Wait();
  }

  // All records after `after`, page by page.
  std::vector<log::Entry> ReadAll(uint64_t after, size_t entries_max = 1000) {
    std::vector<log::Entry> entries;
    log::Position next = At(after);
    while (true) {
      const absl::StatusOr<log::Page> page = Read({.after = next, .entries_max = entries_max});
      EXPECT_TRUE(page.ok()) << page.status();
      if (!page.ok() || page->entries.empty()) {
        return entries;
      }
      EXPECT_LE(page->entries.size(), entries_max);
      entries.insert(entries.end(), page->entries.begin(), page->entries.end());
      next = page->read_to;
    }
  }

  log::Bounds GetBounds() {
    Answer<log::Bounds> answer;
    log().GetBounds(answer.Callback());
    return answer.Wait().value();
  }

  void Resume() {
    follower_.NeverStall();
    log().ResumeFollow();
  }

  const uint64_t seed_ = RandomSeed();
  RecordingFollower follower_;

 private:
  testing::ScopedTrace trace_{__FILE__, __LINE__, absl::StrCat("BRIDGE_TEST_SEED=", seed_)};
  LogUnderTest under_test_;
};

}  // namespace bridge::test
