// What every implementation of EventLog has to keep. A test program includes this and says which kinds of log it has:
//
//   INSTANTIATE_TEST_SUITE_P(Memory, EventLogContract, testing::Values(LogKind{...}), NameOfKind());
#pragma once

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/support/bridge_process.h"
#include "tests/support/event_log_fixture.h"

#include "bridge/log/event_log.h"

namespace bridge::log {

using ::bridge::test::DataOf;
using ::bridge::test::LogKind;
using ::bridge::test::LogLimits;
using ::bridge::test::MakeEphemeral;
using ::bridge::test::MakeRecord;
using ::bridge::test::MakeRecords;
using ::bridge::test::SequencesOf;

class EventLogContract : public test::EventLogTest {
 protected:
  // Starts `writers` threads; each appends `requests` requests of a few records of its own topic, numbered through,
  // without waiting for answers. Returns when all is answered.
  void AppendConcurrently(size_t writers, size_t requests) {
    std::vector<std::thread> threads;
    for (size_t writer = 0; writer < writers; ++writer) {
      threads.emplace_back([this, writer, requests] {
        std::vector<AppendAnswer> answers;
        size_t number = 0;
        for (size_t request = 0; request < requests; ++request) {
          std::vector<Record> records;
          for (size_t i = 0; i <= request % kRequestSizes; ++i) {
            records.push_back(MakeRecord(absl::StrCat("writer", writer), std::to_string(number++)));
          }
          answers.push_back(Append(std::move(records)));
        }
        for (const AppendAnswer& answer : answers) {
          EXPECT_TRUE(answer.Wait().ok());
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
  }

  // Appends it again until it is acked.
  void AppendSometime(const Record& record) {
    EXPECT_TRUE(test::Eventually([this, &record] { return Append({record}).Wait().ok(); }, absl::Seconds(30)));
  }

  static constexpr size_t kRequestSizes = 5;
};

struct NameOfKind {
  std::string operator()(const testing::TestParamInfo<LogKind>& test) const { return test.param.name; }
};

// --- Appending and following.

TEST_P(EventLogContract, GivesGrowingSequencesInTheOrderOfTheRecords) {
  Start();
  EXPECT_THAT(MustAppend(MakeRecords(3)), testing::ElementsAre(1, 2, 3));
  EXPECT_THAT(MustAppend(MakeRecords(2)), testing::ElementsAre(4, 5));
}

TEST_P(EventLogContract, AnswersAnAppendOfNothing) {
  Start();
  EXPECT_THAT(MustAppend({}), testing::IsEmpty());
}

TEST_P(EventLogContract, TheFollowerGetsEachRecordOnceInOrder) {
  Start();
  std::vector<std::string> expected;
  std::vector<AppendAnswer> answers;
  for (size_t request = 0; request < 300; ++request) {
    std::vector<Record> records = MakeRecords(request % 7);
    for (Record& record : records) {
      record.data = std::to_string(expected.size());
      expected.push_back(record.data);
    }
    answers.push_back(Append(std::move(records)));
  }
  ASSERT_TRUE(follower_.WaitForEntries(expected.size()));
  for (const AppendAnswer& answer : answers) {
    EXPECT_TRUE(answer.Wait().ok());
  }
  const std::vector<Entry> entries = follower_.entries();
  EXPECT_EQ(DataOf(entries), expected);
  std::vector<uint64_t> sequences(expected.size());
  std::iota(sequences.begin(), sequences.end(), 1);
  EXPECT_EQ(SequencesOf(entries), sequences);
}

TEST_P(EventLogContract, TheFollowerGetsTheWholeRecord) {
  Start();
  Record record = MakeRecord("orders.eu", "line 1\nline 2", "key");
  record.type = "update";
  record.retry = absl::Seconds(3);
  record.time = absl::Now();
  record.publisher = "shop";
  // A log that others share has only the record's time to go by.
  const base::MonotonicTime before = base::MonotonicClock::now() - std::chrono::milliseconds(100);
  MustAppendOne(record);
  ASSERT_TRUE(follower_.WaitForEntries(1));
  for (const Entry& entry : {follower_.entries().at(0), ReadAll(0).at(0)}) {
    EXPECT_EQ(entry.record.topic, record.topic);
    EXPECT_EQ(entry.record.type, record.type);
    EXPECT_EQ(entry.record.data, record.data);
    EXPECT_EQ(entry.record.retry, record.retry);
    EXPECT_EQ(entry.record.time, record.time);
    EXPECT_EQ(entry.record.publisher, record.publisher);
    EXPECT_EQ(entry.record.idempotency_key, record.idempotency_key);
    EXPECT_GE(entry.received, before);
  }
}

TEST_P(EventLogContract, AnswersComeInTheOrderOfTheAppends) {
  Start();
  absl::Mutex mutex;
  std::vector<size_t> answered;
  for (size_t i = 0; i < 200; ++i) {
    log().Append(MakeRecords(1), [&mutex, &answered, i](const auto&) {
      const absl::MutexLock lock(&mutex);
      answered.push_back(i);
    });
  }
  ASSERT_TRUE(Append({}).Wait().ok());
  const absl::MutexLock lock(&mutex);
  EXPECT_EQ(answered.size(), 200);
  EXPECT_TRUE(std::is_sorted(answered.begin(), answered.end()));
}

TEST_P(EventLogContract, ACallbackMayCallTheLog) {
  Start();
  AppendAnswer nested;
  log().Append(MakeRecords(1),
               [this, callback = nested.Callback()](const auto&) { log().Append(MakeRecords(1), callback); });
  EXPECT_TRUE(nested.Wait().ok());
}

TEST_P(EventLogContract, ConcurrentAppendsKeepEachCallersOrder) {
  Start();
  constexpr size_t kWriters = 4;
  constexpr size_t kRequests = 200;
  AppendConcurrently(kWriters, kRequests);
  const size_t per_writer = kRequests / kRequestSizes * (kRequestSizes * (kRequestSizes + 1) / 2);
  ASSERT_TRUE(follower_.WaitForEntries(kWriters * per_writer));
  std::map<std::string, size_t> next;
  for (const Entry& entry : follower_.entries()) {
    EXPECT_EQ(entry.record.data, std::to_string(next[entry.record.topic]++)) << entry.record.topic;
  }
  for (const auto& [topic, count] : next) {
    EXPECT_EQ(count, per_writer) << topic;
  }
}

TEST_P(EventLogContract, ARequestStandsTogetherInTheLog) {
  if (!GetParam().is_contiguous) {
    GTEST_SKIP() << "does not promise it";
  }
  Start();
  std::vector<std::thread> threads;
  for (size_t writer = 0; writer < 4; ++writer) {
    threads.emplace_back([this] {
      for (size_t request = 0; request < 50; ++request) {
        const std::vector<uint64_t> sequences = MustAppend(MakeRecords(20));
        EXPECT_EQ(sequences.back() - sequences.front(), 19);
        EXPECT_TRUE(std::is_sorted(sequences.begin(), sequences.end()));
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

TEST_P(EventLogContract, AnEphemeralRecordStandsInItsPlaceWithoutAPosition) {
  Start();
  EXPECT_THAT(
      MustAppend({MakeRecord("a", "0"), MakeEphemeral("a", "1"), MakeRecord("a", "2"), MakeEphemeral("a", "3")}),
      testing::ElementsAre(1, 0, 2, 0));
  ASSERT_TRUE(follower_.WaitForEntries(4));
  if (GetParam().has_ordered_ephemeral) {
    EXPECT_THAT(DataOf(follower_.entries()), testing::ElementsAre("0", "1", "2", "3"));
  } else {
    EXPECT_THAT(DataOf(follower_.entries()), testing::UnorderedElementsAre("0", "1", "2", "3"));
  }
  EXPECT_THAT(DataOf(ReadAll(0)), testing::ElementsAre("0", "2"));
}

// --- Reading.

TEST_P(EventLogContract, AnEmptyLogHasBoundsAndNoRecords) {
  Start();
  const Bounds bounds = GetBounds();
  EXPECT_EQ(bounds.epoch, follower_.epoch());
  EXPECT_NE(bounds.epoch, 0);
  EXPECT_EQ(bounds.oldest, 1);
  EXPECT_EQ(bounds.newest, 0);
  EXPECT_THAT(ReadAll(0), testing::IsEmpty());
}

TEST_P(EventLogContract, ReadsFromAnyPositionInBoundedPages) {
  Start();
  MustAppend(MakeRecords(25));
  for (uint64_t after = 0; after <= 25; ++after) {
    for (const size_t entries_max : {size_t{1}, size_t{4}, size_t{1000}}) {
      const std::vector<Entry> entries = ReadAll(after, entries_max);
      ASSERT_EQ(entries.size(), 25 - after);
      for (size_t i = 0; i < entries.size(); ++i) {
        EXPECT_EQ(entries[i].sequence, after + 1 + i);
        EXPECT_EQ(entries[i].record.data, std::to_string(after + i));
      }
    }
  }
}

TEST_P(EventLogContract, APageIsBoundedInBytesButHoldsOneRecord) {
  Start();
  MustAppend({MakeRecord("t", std::string(99, 'a')), MakeRecord("t", std::string(99, 'b')),
              MakeRecord("t", std::string(99, 'c')), MakeRecord("t", std::string(5000, 'd'))});
  const absl::StatusOr<Page> two = Read({.after = At(0), .bytes_max = 299});
  ASSERT_TRUE(two.ok()) << two.status();
  EXPECT_THAT(SequencesOf(two->entries), testing::ElementsAre(1, 2));
  EXPECT_EQ(two->read_to, At(2));
  const absl::StatusOr<Page> large = Read({.after = At(3), .bytes_max = 299});
  ASSERT_TRUE(large.ok()) << large.status();
  EXPECT_THAT(SequencesOf(large->entries), testing::ElementsAre(4));
}

TEST_P(EventLogContract, APageAheadOfTheLogIsEmpty) {
  Start();
  MustAppend(MakeRecords(3));
  for (const uint64_t after : {uint64_t{3}, uint64_t{4}, std::numeric_limits<uint64_t>::max()}) {
    const absl::StatusOr<Page> page = Read({.after = At(after)});
    ASSERT_TRUE(page.ok()) << page.status();
    EXPECT_THAT(page->entries, testing::IsEmpty());
    EXPECT_EQ(page->read_to, At(after));
  }
}

TEST_P(EventLogContract, AnotherEpochIsNotFound) {
  Start();
  MustAppend(MakeRecords(3));
  const absl::StatusOr<Page> page = Read({.after = {.epoch = follower_.epoch() + 1, .sequence = 1}});
  EXPECT_EQ(page.status().code(), absl::StatusCode::kNotFound) << page.status();
}

TEST_P(EventLogContract, HistoryIsBoundedInEvents) {
  if (!GetParam().has_events_max) {
    GTEST_SKIP() << "has no such bound";
  }
  Start({.history = {.events_max = 10, .bytes_max = 1 << 20, .age_max = std::chrono::hours(1)}});
  MustAppend(MakeRecords(25));
  EXPECT_EQ(GetBounds().oldest, 16);
  EXPECT_EQ(GetBounds().newest, 25);
  EXPECT_EQ(ReadAll(15).size(), 10);
  EXPECT_EQ(Read({.after = At(14)}).status().code(), absl::StatusCode::kOutOfRange);
}

TEST_P(EventLogContract, HistoryIsBoundedInBytes) {
  Start({.history = {.events_max = 1000, .bytes_max = 10'000, .age_max = std::chrono::hours(1)}});
  for (int i = 0; i < 20; ++i) {
    MustAppendOne(MakeRecord("t", std::string(1000, 'x')));
  }
  const Bounds bounds = GetBounds();
  EXPECT_EQ(bounds.newest, 20);
  EXPECT_GE(bounds.oldest, 12);
  EXPECT_LE(bounds.oldest, 20);
  EXPECT_EQ(ReadAll(bounds.oldest - 1).size(), 20 - bounds.oldest + 1);
  EXPECT_EQ(Read({.after = At(bounds.oldest - 2)}).status().code(), absl::StatusCode::kOutOfRange);
}

TEST_P(EventLogContract, HistoryIsBoundedInAge) {
  Start({.history = {.events_max = 1000, .bytes_max = 1 << 20, .age_max = std::chrono::hours(1)}});
  if (!CanAdvanceClock()) {
    GTEST_SKIP() << "its clock cannot be set";
  }
  MustAppend(MakeRecords(5));
  AdvanceClock(std::chrono::minutes(40));
  MustAppend(MakeRecords(5));
  AdvanceClock(std::chrono::minutes(40));
  EXPECT_EQ(GetBounds().oldest, 6);
  EXPECT_EQ(Read({.after = At(3)}).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(ReadAll(5).size(), 5);
  AdvanceClock(std::chrono::minutes(40));
  EXPECT_EQ(GetBounds().oldest, 11);
  EXPECT_EQ(GetBounds().newest, 10);
  EXPECT_THAT(ReadAll(10), testing::IsEmpty());
}

TEST_P(EventLogContract, ReadersSeeWhatConcurrentWritersAppend) {
  Start();
  constexpr size_t kWriters = 2;
  constexpr size_t kRequests = 150;
  constexpr size_t kTotal = kWriters * kRequests / kRequestSizes * (kRequestSizes * (kRequestSizes + 1) / 2);
  std::vector<std::vector<Entry>> read(3);
  std::vector<std::thread> readers;
  for (std::vector<Entry>& entries : read) {
    readers.emplace_back([this, &entries] {
      while (entries.size() < kTotal && !testing::Test::HasFailure()) {
        const std::vector<Entry> more = ReadAll(entries.size(), 50);
        entries.insert(entries.end(), more.begin(), more.end());
      }
    });
  }
  AppendConcurrently(kWriters, kRequests);
  for (std::thread& reader : readers) {
    reader.join();
  }
  ASSERT_TRUE(follower_.WaitForEntries(kTotal));
  const std::vector<Entry> followed = follower_.entries();
  for (const std::vector<Entry>& entries : read) {
    EXPECT_EQ(SequencesOf(entries), SequencesOf(followed));
    EXPECT_EQ(DataOf(entries), DataOf(followed));
  }
}

// --- Repeats.

TEST_P(EventLogContract, ARepeatIsAckedWithTheFirstPositionAndNotAppended) {
  Start();
  EXPECT_EQ(MustAppendOne(MakeRecord("orders", "first", "key")), 1);
  EXPECT_EQ(MustAppendOne(MakeRecord("orders", "other")), 2);
  const auto repeat = Append({MakeRecord("orders", "again", "key"), MakeRecord("orders", "last")}).Wait();
  ASSERT_TRUE(repeat.ok()) << repeat.status();
  EXPECT_TRUE(repeat->at(0).status.ok());
  EXPECT_TRUE(repeat->at(0).is_duplicate);
  EXPECT_EQ(repeat->at(0).position, At(1));
  EXPECT_FALSE(repeat->at(1).is_duplicate);
  EXPECT_EQ(repeat->at(1).position, At(3));
  ASSERT_TRUE(follower_.WaitForEntries(3));
  EXPECT_THAT(DataOf(follower_.entries()), testing::ElementsAre("first", "other", "last"));
}

TEST_P(EventLogContract, ARepeatInTheSameRequestIsRecognised) {
  Start();
  EXPECT_THAT(MustAppend({MakeRecord("t", "0", "a"), MakeRecord("t", "1", "b"), MakeRecord("t", "2", "a")}),
              testing::ElementsAre(1, 2, 1));
}

TEST_P(EventLogContract, ARequestOfRepeatsIsAcked) {
  Start();
  MustAppendOne(MakeRecord("t", "0", "a"));
  EXPECT_THAT(MustAppend({MakeRecord("t", "0", "a"), MakeRecord("t", "0", "a")}), testing::ElementsAre(1, 1));
}

TEST_P(EventLogContract, TheScopeOfAKeyIsPublisherAndTopic) {
  Start();
  std::vector<Record> records;
  for (const auto& [publisher, topic, key] : std::vector<std::array<std::string, 3>>{{"shop", "orders", "key"},
                                                                                     {"shop", "users", "key"},
                                                                                     {"bank", "orders", "key"},
                                                                                     {"shop", "orders", "key2"},
                                                                                     {"shoporders", "orders", "key"},
                                                                                     {"", "orders", "key"},
                                                                                     {"shop", "ordersk", "ey"},
                                                                                     {"s", "hop", "orderskey"}}) {
    records.push_back(MakeRecord(topic, "", key));
    records.back().publisher = publisher;
  }
  EXPECT_THAT(MustAppend(records), testing::ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
  EXPECT_THAT(MustAppend(records), testing::ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
}

TEST_P(EventLogContract, RecordsWithoutAKeyAreNeverRepeats) {
  Start();
  EXPECT_THAT(MustAppend({MakeRecord("t", "same"), MakeRecord("t", "same")}), testing::ElementsAre(1, 2));
}

TEST_P(EventLogContract, AnEphemeralRecordsKeyDoesNotCount) {
  Start();
  Record ephemeral = MakeEphemeral("t", "0");
  ephemeral.idempotency_key = "key";
  EXPECT_THAT(MustAppend({ephemeral, MakeRecord("t", "1", "key"), ephemeral}), testing::ElementsAre(0, 1, 0));
}

TEST_P(EventLogContract, AKeyIsForgottenAfterTheWindowOfItsFirstRecord) {
  Start({.idempotency_window = std::chrono::minutes(2)});
  if (!CanAdvanceClock()) {
    GTEST_SKIP() << "its clock cannot be set";
  }
  EXPECT_EQ(MustAppendOne(MakeRecord("t", "0", "key")), 1);
  AdvanceClock(std::chrono::seconds(119));
  EXPECT_EQ(MustAppendOne(MakeRecord("t", "1", "key")), 1);
  AdvanceClock(std::chrono::seconds(1));
  EXPECT_EQ(MustAppendOne(MakeRecord("t", "2", "key")), 2);
  EXPECT_EQ(MustAppendOne(MakeRecord("t", "3", "key")), 2);
}

TEST_P(EventLogContract, RepeatsFromManyThreadsAreAppendedOnce) {
  Start();
  constexpr size_t kKeys = 100;
  std::vector<std::vector<uint64_t>> sequences(4);
  std::vector<std::thread> threads;
  for (std::vector<uint64_t>& mine : sequences) {
    threads.emplace_back([this, &mine] {
      for (size_t key = 0; key < kKeys; ++key) {
        mine.push_back(MustAppendOne(MakeRecord("t", "", std::to_string(key))));
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_THAT(sequences, testing::Each(sequences[0]));
  EXPECT_EQ(GetBounds().newest, kKeys);
}

// --- Failures.

TEST_P(EventLogContract, AFailureIsCountedBeforeItIsAnswered) {
  Start();
  if (!CanBreak()) {
    GTEST_SKIP() << "does not fail";
  }
  const uint64_t before = log().failures();
  BreakStore();
  test::Answer<uint64_t> counted;
  log().Append(MakeRecords(1), [this, callback = counted.Callback()](const auto& appended) {
    callback(appended.ok() ? 0 : log().failures());
  });
  EXPECT_THAT(counted.Wait().value_or(0), testing::Gt(before));
  MendStore();
  AppendSometime(MakeRecord("t", "last", "last"));
}

TEST_P(EventLogContract, WhatIsAppendedWithoutHavingSeenAFailureDoesNotOvertakeWhatFailed) {
  Start();
  if (!CanBreak()) {
    GTEST_SKIP() << "does not fail";
  }
  const Record first = MakeRecord("t", "first", "first");
  const Record second = MakeRecord("t", "second", "second");
  const uint64_t failures_seen = log().failures();
  BreakStore();
  EXPECT_EQ(Append({first}, failures_seen).Wait().status().code(), absl::StatusCode::kUnavailable);
  MendStore();
  AppendSometime(MakeRecord("other", "other", "other"));
  // Its thread was held up since before the failure.
  EXPECT_EQ(Append({second}, failures_seen).Wait().status().code(), absl::StatusCode::kUnavailable);
  MustAppend({first, second});
  std::vector<std::string> data = DataOf(ReadAll(0));
  std::erase(data, "other");
  EXPECT_THAT(data, testing::ElementsAre("first", "second"));
}

// --- Stalls and the end.

TEST_P(EventLogContract, AStalledFollowerStopsTheAcksAndLosesNothing) {
  Start();
  follower_.StallAt(10);
  const size_t total = GetParam().acked_ahead_max + 2000;
  std::vector<AppendAnswer> answers;
  for (size_t i = 0; i < total; ++i) {
    answers.push_back(Append({MakeRecord("t", std::to_string(i))}));
  }
  ASSERT_TRUE(follower_.WaitForEntries(10));
  const auto acked = [&answers] {
    return static_cast<size_t>(
        std::count_if(answers.begin(), answers.end(), [](const AppendAnswer& answer) { return answer.HasAnswer(); }));
  };
  for (int i = 0; i < 5; ++i) {
    GetBounds();  // what the log has done before it answers
    const size_t seen = follower_.size();
    EXPECT_LE(acked(), seen + GetParam().acked_ahead_max);
  }
  EXPECT_LT(acked(), total);

  Resume();
  for (size_t i = 0; i < total; ++i) {
    const auto answer = answers[i].Wait();
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(answer->at(0).position.sequence, i + 1);
  }
  ASSERT_TRUE(follower_.WaitForEntries(total));
  EXPECT_EQ(follower_.size(), total);
}

TEST_P(EventLogContract, StallsAgainAndAgainLoseNothing) {
  Start();
  constexpr size_t kTotal = 500;
  follower_.StallAt(1);
  std::vector<AppendAnswer> answers;
  for (size_t i = 0; i < kTotal; ++i) {
    answers.push_back(Append({MakeRecord("t", std::to_string(i))}));
  }
  for (size_t seen = 0; seen < kTotal;) {
    ASSERT_TRUE(follower_.WaitForEntries(seen + 1));
    seen = follower_.size();  // it stalls
    follower_.StallAt(seen + 1);
    follower_.NoteResume();
    log().ResumeFollow();
  }
  for (const AppendAnswer& answer : answers) {
    EXPECT_TRUE(answer.Wait().ok());
  }
  EXPECT_EQ(follower_.size(), kTotal);
}

TEST_P(EventLogContract, ReadsGoOnInAStall) {
  Start();
  follower_.StallAt(3);
  MustAppend(MakeRecords(3));
  ASSERT_TRUE(follower_.WaitForEntries(3));
  Append(MakeRecords(3));
  EXPECT_GE(ReadAll(0).size(), 3);
  Resume();
}

TEST_P(EventLogContract, TheEndAnswersWhatWaits) {
  Start();
  follower_.StallAt(1);
  std::vector<AppendAnswer> appends;
  for (size_t i = 0; i < GetParam().acked_ahead_max + 2000; ++i) {
    appends.push_back(Append(MakeRecords(1)));
  }
  test::Answer<Page> page;
  log().Read({.after = At(0)}, page.Callback());
  test::Answer<Bounds> bounds;
  log().GetBounds(bounds.Callback());
  End();
  const auto expect_answer = [](const absl::Status& status) {
    EXPECT_TRUE(status.ok() || status.code() == absl::StatusCode::kUnavailable) << status;
  };
  for (const AppendAnswer& append : appends) {
    ASSERT_TRUE(append.HasAnswer());
    expect_answer(append.Wait().status());
  }
  EXPECT_EQ(appends.back().Wait().status().code(), absl::StatusCode::kUnavailable);
  ASSERT_TRUE(page.HasAnswer());
  expect_answer(page.Wait().status());
  ASSERT_TRUE(bounds.HasAnswer());
  expect_answer(bounds.Wait().status());
}

}  // namespace bridge::log
