#include "bridge/log/disk_log.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <limits>
#include <string>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/disk_log_fixture.h"
#include "tests/support/recording_follower.h"

namespace bridge::log {
namespace {

using ::bridge::test::DataOf;
using ::bridge::test::MakeEphemeral;
using ::bridge::test::MakeRecord;
using ::bridge::test::MakeRecords;
using ::bridge::test::SequencesOf;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class DiskLogOfEachSync : public test::DiskLogTest, public testing::WithParamInterface<DiskLog::Sync> {
 protected:
  DiskLogOfEachSync() {
    options_.sync = GetParam();
    options_.clock = machine_.Clocks();
  }
  // As after a start of the machine, or of the bridge alone.
  void RestartMachine() {
    Close();
    machine_.Restart();
    options_.clock = machine_.Clocks();
    Open();
  }
  // Opens a log that holds so many records, of which the follower has taken the first call's.
  void StallInTheTail(test::RecordingFollower* follower, size_t records) {
    Open();
    MustAppend(MakeRecords(records));
    Reopen();
    follower->StallAt(1);
    log().Follow(follower, {.events_max = 1'000'000, .bytes_max = 1 << 30});
    ASSERT_TRUE(follower->WaitForEntries(1));
  }

  test::FakeMachine machine_;
};

struct NameOfSync {
  std::string operator()(  // NOLINT(modernize-use-string-view): GoogleTest wants one
      const testing::TestParamInfo<DiskLog::Sync>& test) const {
    return test.param == DiskLog::Sync::kEachBatch ? "EachBatch" : "Interval";
  }
};
INSTANTIATE_TEST_SUITE_P(, DiskLogOfEachSync, testing::Values(DiskLog::Sync::kEachBatch, DiskLog::Sync::kInterval),
                         NameOfSync());

// --- Restarts.

TEST_P(DiskLogOfEachSync, ARestartKeepsEpochHistoryAndSequence) {
  Open();
  const Bounds before = GetBounds();
  MustAppend(MakeRecords(5));
  for (int i = 0; i < 3; ++i) {
    Reopen();
    EXPECT_EQ(GetBounds().epoch, before.epoch);
    EXPECT_EQ(GetBounds().oldest, 1);
    EXPECT_EQ(GetBounds().newest, 5);
    EXPECT_THAT(DataOf(ReadAll()), ElementsAre("0", "1", "2", "3", "4"));
  }
  EXPECT_THAT(MustAppend(MakeRecords(2)), ElementsAre(6, 7));
}

TEST_P(DiskLogOfEachSync, ARestartKeepsTheFiguresOfTheStore) {
  Open();
  MustAppend(MakeRecords(5));
  GetBounds();
  const uint64_t bytes = log().stats().store_bytes;
  EXPECT_GT(bytes, 0);
  Reopen();
  EXPECT_EQ(log().stats().store_events, 5);
  EXPECT_EQ(log().stats().store_bytes, bytes);
}

TEST_P(DiskLogOfEachSync, ARestartKeepsTheSequenceWhereAllRecordsWereTrimmed) {
  Open();
  MustAppend(MakeRecords(5));
  machine_.Advance(hours(25));
  EXPECT_EQ(GetBounds().oldest, 6);
  Reopen();
  EXPECT_EQ(GetBounds().oldest, 6);
  EXPECT_EQ(GetBounds().newest, 5);
  EXPECT_THAT(MustAppend(MakeRecords(1)), ElementsAre(6));
}

TEST_P(DiskLogOfEachSync, ARestartKeepsTheIdempotencyKeysAndTheirAge) {
  Open();
  MustAppend({MakeRecord("t", "old", "a")});
  machine_.Advance(seconds(90));
  MustAppend({MakeRecord("t", "", "b"), MakeRecord("t", "")});
  Reopen();
  EXPECT_EQ(log().stats().idempotency_keys, 0) << "nothing has been published yet";
  EXPECT_THAT(MustAppend({MakeRecord("t", "", "a"), MakeRecord("t", "", "b")}), ElementsAre(1, 2));
  machine_.Advance(seconds(31));
  Reopen();
  EXPECT_THAT(MustAppend({MakeRecord("t", "", "a"), MakeRecord("t", "", "b")}), ElementsAre(4, 2));
}

TEST_P(DiskLogOfEachSync, ARestartKeepsNoMoreKeysThanThereMayBe) {
  options_.idempotency_keys_max = 2;
  Open();
  MustAppend({MakeRecord("t", "", "a"), MakeRecord("t", "", "b"), MakeRecord("t", "", "c")});
  Reopen();
  EXPECT_THAT(MustAppend({MakeRecord("t", "", "c"), MakeRecord("t", "", "b")}), ElementsAre(3, 2));
  EXPECT_EQ(log().stats().idempotency_keys, 2);
  EXPECT_THAT(MustAppend({MakeRecord("t", "", "a")}), ElementsAre(4));
}

TEST_P(DiskLogOfEachSync, TheSyncMayBeAnotherAfterARestart) {
  Open();
  const Bounds before = GetBounds();
  MustAppend(MakeRecords(3));
  options_.sync = options_.sync == DiskLog::Sync::kInterval ? DiskLog::Sync::kEachBatch : DiskLog::Sync::kInterval;
  Reopen();
  EXPECT_EQ(GetBounds().epoch, before.epoch);
  EXPECT_EQ(ReadAll().size(), 3);
}

TEST_P(DiskLogOfEachSync, AnEphemeralRecordIsNotStored) {
  Open();
  MustAppend({MakeRecord("t", "0"), MakeEphemeral("t", "1")});
  Reopen();
  EXPECT_THAT(DataOf(ReadAll()), ElementsAre("0"));
}

// --- The tail.

TEST_P(DiskLogOfEachSync, AFollowerGetsTheTailThenWhatComes) {
  Open();
  MustAppend(MakeRecords(10));
  machine_.Advance(minutes(5));
  Reopen();
  test::RecordingFollower follower;
  log().Follow(&follower, {.events_max = 4, .bytes_max = 1 << 20});
  ASSERT_TRUE(follower.WaitUntilCaughtUp());
  EXPECT_EQ(follower.size(), 4);
  MustAppend(MakeRecords(2));
  EXPECT_THAT(SequencesOf(follower.entries()), ElementsAre(7, 8, 9, 10, 11, 12));
  const base::MonotonicTime now = options_.clock.monotonic();
  EXPECT_EQ(follower.entries().front().received, now - minutes(5));
  EXPECT_EQ(follower.entries().back().received, now);
  Close();
  EXPECT_THAT(follower.violations(), IsEmpty());
}

TEST_P(DiskLogOfEachSync, ATailIsBoundedInBytes) {
  Open();
  for (int i = 0; i < 10; ++i) {
    MustAppend({MakeRecord("t", std::string(1000, 'x'))});
  }
  Reopen();
  test::RecordingFollower follower;
  log().Follow(&follower, {.events_max = 1000, .bytes_max = 3500});
  ASSERT_TRUE(follower.WaitUntilCaughtUp());
  EXPECT_THAT(SequencesOf(follower.entries()), ElementsAre(8, 9, 10));
  Close();
}

TEST_P(DiskLogOfEachSync, AStallInTheTailHoldsUpAppendsAndLosesNothing) {
  test::RecordingFollower follower;
  ASSERT_NO_FATAL_FAILURE(StallInTheTail(&follower, 3 * DiskLog::kEntriesPerCallMax));
  const AppendAnswer append = Append(MakeRecords(1));
  GetBounds();
  EXPECT_EQ(follower.size(), DiskLog::kEntriesPerCallMax);
  EXPECT_FALSE(append.HasAnswer());
  follower.NeverStall();
  log().ResumeFollow();
  EXPECT_TRUE(append.Wait().ok());
  EXPECT_EQ(follower.size(), 3 * DiskLog::kEntriesPerCallMax + 1);
  Close();
  EXPECT_THAT(follower.violations(), IsEmpty());
}

TEST_P(DiskLogOfEachSync, WhatIsTrimmedBeforeTheTailHasBeenHandedOverIsAGap) {
  test::RecordingFollower follower;
  ASSERT_NO_FATAL_FAILURE(StallInTheTail(&follower, 3 * DiskLog::kEntriesPerCallMax));
  machine_.Advance(hours(25));
  while (GetBounds().oldest <= DiskLog::kEntriesPerCallMax + 1) {
    machine_.Advance(seconds(2));
  }
  follower.NeverStall();
  log().ResumeFollow();
  ASSERT_TRUE(follower.WaitUntilCaughtUp());
  EXPECT_EQ(follower.size(), DiskLog::kEntriesPerCallMax);
  EXPECT_THAT(follower.gaps(), ElementsAre(3 * DiskLog::kEntriesPerCallMax));
  MustAppend(MakeRecords(1));
  EXPECT_EQ(follower.entries().back().sequence, 3 * DiskLog::kEntriesPerCallMax + 1);
  Close();
  EXPECT_THAT(follower.violations(), IsEmpty());
}

// --- Reading.

TEST_P(DiskLogOfEachSync, APageOfOnePatternSaysHowFarItGoes) {
  Open();
  for (int i = 0; i < 20; ++i) {
    MustAppend(MakeRecords(1000, "noise"));
  }
  MustAppend({MakeRecord("orders.eu", "wanted")});
  EventLog::ReadOptions options{.after = At(0), .pattern = *topic::Pattern::Parse("orders.*")};
  int pages = 0;
  absl::StatusOr<Page> page = Read(options);
  for (; page.ok() && page->entries.empty() && page->read_to != options.after; page = Read(options)) {
    options.after = page->read_to;
    ++pages;
  }
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_THAT(DataOf(page->entries), ElementsAre("wanted"));
  EXPECT_EQ(page->read_to, At(20'001));
  EXPECT_GT(pages, 0) << "a page looks at a bounded number of records";
}

// --- Trimming.

TEST_P(DiskLogOfEachSync, BytesBeyondTheBoundAreTrimmedAndTheirRoomIsUsedAgain) {
  options_.bytes_max = 1 << 20;
  Open();
  uint64_t file_bytes = 0;
  for (int round = 0; round < 40; ++round) {
    std::vector<AppendAnswer> answers;
    for (int i = 0; i < 10; ++i) {
      answers.push_back(Append({MakeRecord("t", std::string(30'000, 'x')), MakeRecord("t", "small")}));
    }
    for (const AppendAnswer& answer : answers) {
      ASSERT_TRUE(answer.Wait().ok());
    }
    const Bounds bounds = GetBounds();
    EXPECT_LE(log().stats().store_bytes, options_.bytes_max);
    EXPECT_EQ(log().stats().store_events, bounds.newest + 1 - bounds.oldest);
    file_bytes = round == 10 ? std::filesystem::file_size(path_ + "/data.mdb") : file_bytes;
  }
  EXPECT_GT(GetBounds().oldest, 700);
  EXPECT_EQ(Read({.after = At(1)}).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(std::filesystem::file_size(path_ + "/data.mdb"), file_bytes);
}

TEST_P(DiskLogOfEachSync, AgeCountsOverARestartOfTheBridge) {
  Open();
  MustAppend(MakeRecords(3));
  machine_.Advance(hours(12));
  MustAppend(MakeRecords(3));
  Close();
  machine_.Advance(hours(13));
  Open();
  EXPECT_EQ(GetBounds().oldest, 4);
  machine_.Advance(hours(12));
  EXPECT_EQ(GetBounds().oldest, 7);
}

TEST_P(DiskLogOfEachSync, TheTimeThatTheMachineWasOffDoesNotCount) {
  Open();
  MustAppend(MakeRecords(3));
  machine_.Advance(hours(12));
  MustAppend(MakeRecords(3));
  RestartMachine();
  machine_.Advance(hours(11));
  EXPECT_EQ(GetBounds().oldest, 1);
  machine_.Advance(hours(2));
  EXPECT_EQ(GetBounds().oldest, 4);
}

TEST_P(DiskLogOfEachSync, WhatAWallClockSaysDoesNotMatter) {
  Open();
  std::vector<Record> records = MakeRecords(4);
  records[0].time = absl::FromUnixSeconds(0);
  records[1].time = absl::Now() + absl::Hours(24 * 3650);
  records[2].time = absl::Now() - absl::Hours(2);
  records[3].time = absl::Now() + absl::Hours(2);
  MustAppend(records);
  Reopen();
  machine_.Advance(hours(23));
  EXPECT_EQ(GetBounds().oldest, 1);
  machine_.Advance(hours(2));
  EXPECT_EQ(GetBounds().oldest, 5);
}

TEST_P(DiskLogOfEachSync, ManyOldRecordsAreTrimmedInSlices) {
  Open();
  for (int i = 0; i < 5; ++i) {
    MustAppend(MakeRecords(1000));
  }
  EXPECT_EQ(GetBounds().newest, 5000);
  machine_.Advance(hours(25));
  const uint64_t oldest = GetBounds().oldest;
  EXPECT_GT(oldest, 1);
  EXPECT_LT(oldest, 5001);
  for (int i = 0; i < 10; ++i) {
    machine_.Advance(seconds(2));
    GetBounds();
  }
  EXPECT_EQ(GetBounds().oldest, 5001);
}

// --- Opening.

// In CPU time, which is less at the mercy of what else the machine does.
TEST_P(DiskLogOfEachSync, OpeningDoesNotReadTheHistory) {
  Open();
  for (int i = 0; i < 200; ++i) {
    MustAppend(MakeRecords(1000));
  }
  std::clock_t open_time = std::numeric_limits<std::clock_t>::max();
  for (int i = 0; i < 5; ++i) {
    Close();
    const std::clock_t start = std::clock();
    Open();
    open_time = std::min(open_time, std::clock() - start);
  }
  const std::clock_t start = std::clock();
  EXPECT_EQ(ReadAll().size(), 200'000);
  EXPECT_LT(10 * open_time, std::clock() - start);
}

TEST_P(DiskLogOfEachSync, ASecondLogOnTheSamePathIsRefused) {
  Open();
  const absl::Status second = OpenError();
  EXPECT_EQ(second.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.message()),
              HasSubstr(absl::StrCat("another bridge (process ", getpid(), ") uses ", path_)));
  EXPECT_THAT(MustAppend(MakeRecords(1)), ElementsAre(1));
}

TEST_P(DiskLogOfEachSync, ASecondProcessOnTheSamePathIsRefused) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto log = DiskLog::Open(options_);
    raise(SIGSTOP);
    _exit(log.ok() ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, WUNTRACED), child);
  ASSERT_TRUE(WIFSTOPPED(status));
  EXPECT_THAT(std::string(OpenError().message()),
              HasSubstr(absl::StrCat("another bridge (process ", child, ") uses ", path_)));
  kill(child, SIGKILL);
  ASSERT_EQ(waitpid(child, &status, 0), child);
  Open();
}

TEST_P(DiskLogOfEachSync, APathWithoutAParentIsRefused) {
  options_.path = path_ + "/a/b";
  EXPECT_THAT(std::string(OpenError().message()), HasSubstr("cannot make the directory " + options_.path));
}

TEST_P(DiskLogOfEachSync, APathThatIsAFileIsRefused) {
  Open();
  Close();
  options_.path = path_ + "/data.mdb";
  EXPECT_THAT(std::string(OpenError().message()), HasSubstr(options_.path));
}

TEST_P(DiskLogOfEachSync, ADirectoryThatMayNotBeWrittenIsRefused) {
  if (geteuid() == 0) {
    GTEST_SKIP() << "root may write everywhere";
  }
  ASSERT_EQ(mkdir(path_.c_str(), 0500), 0);
  EXPECT_EQ(OpenError().code(), absl::StatusCode::kPermissionDenied);
}

}  // namespace
}  // namespace bridge::log
