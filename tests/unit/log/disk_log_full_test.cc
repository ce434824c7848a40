// A disk with no room, and one that fails.
#include <chrono>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sched.h>
#include <string>
#include <sys/mount.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/support/bridge_process.h"
#include "tests/support/disk_log_fixture.h"

#include "bridge/log/disk_log.h"

namespace bridge::log {
namespace {

using ::bridge::test::DataOf;
using ::bridge::test::MakeRecord;
using ::bridge::test::MakeRecords;
using ::testing::AnyOf;
using ::testing::HasSubstr;

class DiskLogFull : public test::DiskLogTest, public testing::WithParamInterface<DiskLog::Sync> {
 protected:
  DiskLogFull() {
    options_.sync = GetParam();
    options_.sync_interval = std::chrono::milliseconds(20);
    options_.clock = machine_.Clocks();
  }
  ~DiskLogFull() override {
    Close();
    if (is_mounted_) {
      umount2(disk().c_str(), MNT_DETACH);
    }
  }

  // A small disk, seen by this process only.
  void SetUp() override {
    std::filesystem::create_directory(disk());
    is_mounted_ = unshare(CLONE_NEWNS) == 0 && mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                  mount("tmpfs", disk().c_str(), "tmpfs", 0, "size=32m") == 0;
    if (!is_mounted_) {
      GTEST_SKIP() << "to mount a small disk needs root";
    }
    options_.path = disk() + "/log";
  }

  std::string disk() const { return directory_.path() + "/disk"; }

  // Fills the disk but for so much with a file that TakeAway removes.
  void Occupy(uint64_t bytes_left) {
    const uint64_t available = std::filesystem::space(disk()).available;
    std::ofstream(Ballast(), std::ios::app) << std::string(available - std::min(available, bytes_left), 'x');
  }
  void TakeAway() { std::filesystem::remove(Ballast()); }
  std::string Ballast() const { return disk() + "/ballast"; }

  // Appends until an append fails; returns how many were acked.
  size_t AppendUntilFull() {
    for (size_t acked = 0;; ++acked) {
      const auto answer = Append({MakeRecord("t", absl::StrCat(acked, std::string(100'000, 'x')))}).Wait();
      if (!answer.ok()) {
        EXPECT_EQ(answer.status().code(), absl::StatusCode::kUnavailable) << answer.status();
        return acked;
      }
    }
  }

  // Appends until that succeeds.
  void AppendSometime() {
    const absl::Time deadline = absl::Now() + absl::Seconds(20);
    while (!Append(MakeRecords(1)).Wait().ok()) {
      ASSERT_LT(absl::Now(), deadline) << log().health();
      absl::SleepFor(absl::Milliseconds(10));  // a publisher's backoff
    }
  }

  test::FakeMachine machine_;

 private:
  bool is_mounted_ = false;
};

TEST_P(DiskLogFull, AppendsFailReadsGoOnAndNothingIsLost) {
  Open();
  const size_t acked = AppendUntilFull();
  EXPECT_GT(acked, 20);
  EXPECT_EQ(log().health().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(log().health().message()), AnyOf(HasSubstr("no room"), HasSubstr("No space left")));
  EXPECT_GT(log().stats().append_failures, 0);
  EXPECT_EQ(ReadAll().size(), acked);
  EXPECT_EQ(GetBounds().newest, acked);
  Reopen();
  EXPECT_EQ(ReadAll().size(), acked);
}

TEST_P(DiskLogFull, AppendsWorkAgainWhenThereIsRoom) {
  Open();
  Occupy(8 << 20);
  const size_t acked = AppendUntilFull();
  TakeAway();
  AppendSometime();
  EXPECT_TRUE(log().health().ok()) << log().health();
  const std::vector<Entry> entries = ReadAll();
  ASSERT_EQ(entries.size(), acked + 1);
  for (size_t i = 0; i < acked; ++i) {
    EXPECT_TRUE(absl::StartsWith(entries[i].record.data, absl::StrCat(i, "x")));
  }
}

TEST_P(DiskLogFull, HealthSaysThatThereIsRoomAgain) {
  Open();
  Occupy(8 << 20);
  AppendUntilFull();
  EXPECT_FALSE(log().health().ok());
  TakeAway();
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  while (!log().health().ok() && absl::Now() < deadline) {
    machine_.Advance(std::chrono::seconds(2));
    GetBounds();
  }
  EXPECT_TRUE(log().health().ok()) << log().health();
}

TEST_P(DiskLogFull, TrimmingGoesOnAndMakesRoom) {
  Open();
  const size_t acked = AppendUntilFull();
  Occupy(0);
  machine_.Advance(std::chrono::hours(25));
  EXPECT_EQ(GetBounds().oldest, acked + 1);
  AppendSometime();
  EXPECT_EQ(GetBounds().newest, acked + 1);
}

TEST_P(DiskLogFull, TrimmingLeavesTheJournalWhatCouldNotBeWritten) {
  if (GetParam() == DiskLog::Sync::kEachBatch) {
    GTEST_SKIP() << "it has no journal";
  }
  options_.sync_interval = std::chrono::hours(1);
  Occupy(12 << 20);  // so that no more room is set aside than what it takes
  Open();
  constexpr size_t kOld = 1500;  // trimmed in two slices
  MustAppend(std::vector<Record>(kOld, MakeRecord("t", std::string(300, 'x'))));
  ASSERT_EQ(GetBounds().newest, kOld);
  machine_.Advance(std::chrono::hours(13));
  TakeAway();
  constexpr size_t kUnwritten = 6;  // more than a file of the journal keeps when it is dropped
  ASSERT_EQ(MustAppend(std::vector<Record>(kUnwritten, MakeRecord("t", std::string(1'000'000, 'x')))).size(),
            kUnwritten);
  Occupy(0);

  const auto trims_below = [this](uint64_t events) {
    return test::Eventually([&] { return log().stats().store_events < events; });
  };
  machine_.Advance(std::chrono::hours(12));
  ASSERT_TRUE(trims_below(kOld)) << "which takes a page of the room that was set aside";
  const uint64_t events = log().stats().store_events;
  ASSERT_GT(events, 0);
  GetBounds();
  EXPECT_THAT(std::string(log().health().message()), HasSubstr("no room"));
  machine_.Advance(std::chrono::seconds(2));
  ASSERT_TRUE(trims_below(events));

  // What a kill leaves behind.
  const std::string copy = directory_.path() + "/copy";
  std::filesystem::copy(options_.path, copy);
  Close();
  options_.path = copy;
  Open();
  EXPECT_EQ(GetBounds().newest, kOld + kUnwritten);
}

TEST_P(DiskLogFull, ALogCanBeOpened) {
  Open();
  const size_t acked = AppendUntilFull();
  Close();
  Occupy(0);
  Open();
  EXPECT_EQ(ReadAll().size(), acked);
  EXPECT_FALSE(Append({MakeRecord("t", std::string(8'000'000, 'x'))}).Wait().ok());
  TakeAway();
  AppendSometime();
}

TEST_P(DiskLogFull, ANewLogIsRefused) {
  Occupy(0);
  const absl::Status error = OpenError();
  EXPECT_FALSE(error.ok());
  TakeAway();
  Open();
  MustAppend(MakeRecords(1));
}

TEST_P(DiskLogFull, AResendIsNotOvertaken) {
  Occupy(12 << 20);
  Open();
  Occupy(0);
  constexpr size_t kTotal = 600;
  constexpr size_t kInFlight = 12;
  size_t failures = 0;
  for (size_t next = 0; next < kTotal;) {
    const uint64_t failures_seen = log().failures();
    std::vector<AppendAnswer> in_flight;
    for (size_t i = next; i < std::min(next + kInFlight, kTotal); ++i) {
      in_flight.push_back(
          Append({MakeRecord("t", absl::StrCat(i, ";", std::string(20'000, 'x')), std::to_string(i))}, failures_seen));
    }
    bool is_failing = false;
    for (const AppendAnswer& answer : in_flight) {
      const bool is_acked = answer.Wait().ok();
      ASSERT_FALSE(is_acked && is_failing) << "an append overtook one that failed";
      is_failing = !is_acked;
      next += is_acked ? 1 : 0;
    }
    if (is_failing && ++failures == 3) {
      TakeAway();
    }
  }
  EXPECT_GE(failures, 3);
  const std::vector<Entry> entries = ReadAll();
  ASSERT_EQ(entries.size(), kTotal);
  for (size_t i = 0; i < kTotal; ++i) {
    ASSERT_TRUE(absl::StartsWith(entries[i].record.data, absl::StrCat(i, ";"))) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(, DiskLogFull, testing::Values(DiskLog::Sync::kEachBatch, DiskLog::Sync::kInterval),
                         [](const auto& test) {
                           return test.param == DiskLog::Sync::kEachBatch ? "EachBatch" : "Interval";
                         });

// The store can no longer be written, though there is room: its descriptors do not allow it any more.
class DiskLogBroken : public test::DiskLogTest {
 protected:
  void BreakStore() {
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code ignored;
      if (std::filesystem::read_symlink(entry.path(), ignored) == path_ + "/data.mdb") {
        const int read_only = open((path_ + "/data.mdb").c_str(), O_RDONLY);
        ASSERT_GE(read_only, 0);
        ASSERT_GE(dup2(read_only, std::stoi(entry.path().filename())), 0);
        close(read_only);
      }
    }
  }
};

TEST_F(DiskLogBroken, NothingIsAckedUntilTheLogIsOpenedAgain) {
  Open();
  MustAppend(MakeRecords(3));
  BreakStore();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Append(MakeRecords(1)).Wait().status().code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(log().health().code(), absl::StatusCode::kUnavailable);
  }
  EXPECT_THAT(std::string(log().health().message()), HasSubstr("nothing more is written until a restart"));
  EXPECT_EQ(ReadAll().size(), 3);
  const uint64_t epoch = epoch_;
  Reopen();
  EXPECT_EQ(epoch_, epoch);
  EXPECT_EQ(ReadAll().size(), 3);
  EXPECT_THAT(MustAppend(MakeRecords(1)), testing::ElementsAre(4));
}

TEST_F(DiskLogBroken, WithIntervalWhatWasAckedComesFromTheJournal) {
  options_.sync = DiskLog::Sync::kInterval;
  options_.sync_interval = std::chrono::hours(1);
  Open();
  MustAppend(MakeRecords(3));
  BreakStore();
  const uint64_t epoch = epoch_;
  Reopen();
  EXPECT_NE(epoch_, epoch) << "it was not closed in order";
  EXPECT_THAT(DataOf(ReadAll()), testing::ElementsAre("0", "1", "2"));
}

}  // namespace
}  // namespace bridge::log
