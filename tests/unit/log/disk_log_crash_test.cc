// Processes that are killed while they append.
#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <deque>
#include <map>
#include <random>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/support/disk_log_fixture.h"
#include "tests/support/random_seed.h"

#include "bridge/log/disk_log.h"

namespace bridge::log {
namespace {

using ::bridge::test::MakeRecord;

// What a process says of a record that was acked to it.
struct Ack {
  uint64_t number = 0;
  Position position;
};

class DiskLogCrash : public test::DiskLogTest, public testing::WithParamInterface<DiskLog::Sync> {
 protected:
  static constexpr size_t kInFlight = 16;

  DiskLogCrash() { options_.sync = GetParam(); }

  // Appends the numbers from `next` on, each with itself as its key, until it is killed, and writes the acks to `out`.
  [[noreturn]] void AppendUntilKilled(uint64_t next, int out) {
    const absl::StatusOr<std::unique_ptr<DiskLog>> log = DiskLog::Open(options_);
    std::deque<AppendAnswer> in_flight;
    while (log.ok()) {
      AppendAnswer answer;
      const std::string number = std::to_string(next++);
      (*log)->Append({MakeRecord("t", number, number)}, [out, number, done = answer.Callback()](auto appended) mutable {
        if (appended.ok()) {
          const Ack ack = {.number = std::stoull(number), .position = appended->at(0).position};
          if (write(out, &ack, sizeof(ack)) != sizeof(ack)) {
            _exit(1);
          }
        }
        done(std::move(appended));
      });
      in_flight.push_back(answer);
      if (in_flight.size() == kInFlight) {
        in_flight.front().Wait().IgnoreError();
        in_flight.pop_front();
      }
    }
    _exit(1);
  }

  // Has a process append from `next` on and kills it after `time`; returns what was acked to it.
  std::vector<Ack> AppendAndKill(uint64_t next, absl::Duration time) {
    std::array<int, 2> ends = {};
    EXPECT_EQ(pipe(ends.data()), 0);
    const pid_t child = fork();
    if (child == 0) {
      close(ends[0]);
      AppendUntilKilled(next, ends[1]);
    }
    close(ends[1]);
    absl::SleepFor(time);  // it is killed at any moment
    EXPECT_EQ(kill(child, SIGKILL), 0);
    std::vector<Ack> acks;
    for (Ack ack; read(ends[0], &ack, sizeof(ack)) == sizeof(ack);) {
      acks.push_back(ack);
    }
    close(ends[0]);
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status)) << "the process could not open the log";
    return acks;
  }

  std::mt19937_64 random_{test::RandomSeed()};
};

TEST_P(DiskLogCrash, WhatWasAckedIsThereInOrderAndOnce) {
  // What each position was given to.
  std::map<std::pair<uint64_t, uint64_t>, uint64_t> given;
  uint64_t next = 0;
  std::vector<uint64_t> epochs;
  for (int round = 0; round < 25; ++round) {
    for (const Ack& ack : AppendAndKill(next, absl::Milliseconds(5 + random_() % 60))) {
      const auto [at, is_new] = given.try_emplace({ack.position.epoch, ack.position.sequence}, ack.number);
      EXPECT_TRUE(is_new || at->second == ack.number) << ack.position.sequence << " was given out twice";
      EXPECT_EQ(ack.number, next) << "acks come in order";
      next = ack.number + 1;
    }
    Open();
    epochs.push_back(epoch_);
    const std::vector<Entry> entries = ReadAll();
    ASSERT_GE(entries.size(), next) << "acked and not there";
    // What was on its way may be there, and is then found by its key.
    ASSERT_LE(entries.size(), next + kInFlight);
    for (size_t i = 0; i < entries.size(); ++i) {
      ASSERT_EQ(entries[i].record.data, std::to_string(i));
      ASSERT_EQ(entries[i].sequence, i + 1);
    }
    Close();
  }
  EXPECT_GT(next, 100);
  if (GetParam() == DiskLog::Sync::kEachBatch) {
    EXPECT_THAT(epochs, testing::Each(epochs.front()));
  } else {
    EXPECT_TRUE(std::ranges::is_sorted(epochs));
  }
}

TEST_P(DiskLogCrash, AnUncleanEndWithIntervalStartsANewEpoch) {
  Open();
  const uint64_t first = epoch_;
  Close();
  AppendAndKill(0, absl::Milliseconds(50));
  Open();
  EXPECT_EQ(epoch_ == first, GetParam() == DiskLog::Sync::kEachBatch);
  const uint64_t second = epoch_;
  Reopen();
  EXPECT_EQ(epoch_, second);
}

INSTANTIATE_TEST_SUITE_P(, DiskLogCrash, testing::Values(DiskLog::Sync::kEachBatch, DiskLog::Sync::kInterval),
                         [](const auto& test) {
                           return test.param == DiskLog::Sync::kEachBatch ? "EachBatch" : "Interval";
                         });

}  // namespace
}  // namespace bridge::log
