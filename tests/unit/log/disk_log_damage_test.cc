// What was done to a store's files while no log had them.
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/disk_log_fixture.h"
#include "tests/support/random_seed.h"
#include "tests/support/recording_follower.h"

#include "bridge/log/disk/format.h"
#include "bridge/log/disk/tables.h"
#include "bridge/log/disk_log.h"
#include "bridge/log/v1/store.pb.h"

namespace bridge::log {
namespace {

using ::bridge::test::MakeRecord;
using ::bridge::test::MakeRecords;
using ::bridge::test::SequencesOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class DiskLogDamage : public test::DiskLogTest {
 protected:
  std::string DataPath() const { return path_ + "/data.mdb"; }

  static std::string Content(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }
  static void SetContent(const std::string& file, const std::string& content) {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << content;
  }

  // A closed log with `count` records, each with a name of its own in its data.
  void Fill(size_t count) {
    Open();
    for (size_t i = 1; i <= count; ++i) {
      MustAppend({MakeRecord("t", NameOf(i) + std::string(200, 'x'))});
    }
    Close();
  }
  static std::string NameOf(size_t i) { return absl::StrCat("<record ", i, ">"); }

  // Of a closed log.
  void PutState(const std::string& value) {
    const absl::StatusOr<disk::Tables> tables = disk::OpenTables(DataPath(), uint64_t{1} << 30);
    ASSERT_TRUE(tables.ok()) << tables.status();
    absl::StatusOr<disk::Txn> txn = disk::Begin(tables->env.get(), 0);
    ASSERT_TRUE(txn.ok()) << txn.status();
    ASSERT_TRUE(disk::Put(txn->get(), tables->state, {.sequence = 0, .value = value}, 0).ok());
    ASSERT_TRUE(disk::Commit(*std::move(txn)).ok());
  }

  // Flips a bit of the name of this record, in each page that has it (also in those that are free by now).
  void FlipBitOf(size_t record) {
    std::string content = Content(DataPath());
    size_t flipped = 0;
    for (size_t at = 0; (at = content.find(NameOf(record), at)) != std::string::npos; ++flipped) {
      content[at + 3] = static_cast<char>(content[at + 3] ^ 1);
    }
    ASSERT_GT(flipped, 0);
    SetContent(DataPath(), content);
  }
};

TEST_F(DiskLogDamage, ADamagedRecordIsLeftOutAndTold) {
  Fill(10);
  FlipBitOf(4);
  FlipBitOf(10);
  Open();
  const absl::StatusOr<Page> before = Read({.after = At(0)});
  ASSERT_TRUE(before.ok()) << before.status();
  EXPECT_THAT(SequencesOf(before->entries), ElementsAre(1, 2, 3));
  EXPECT_EQ(before->damaged_to, 0);
  const absl::StatusOr<Page> between = Read({.after = before->read_to});
  ASSERT_TRUE(between.ok()) << between.status();
  EXPECT_THAT(SequencesOf(between->entries), ElementsAre(5, 6, 7, 8, 9));
  EXPECT_EQ(between->damaged_to, 4);
  const absl::StatusOr<Page> last = Read({.after = between->read_to});
  ASSERT_TRUE(last.ok()) << last.status();
  EXPECT_THAT(last->entries, testing::IsEmpty());
  EXPECT_EQ(last->damaged_to, 10);
  EXPECT_EQ(last->read_to, At(10));
  EXPECT_EQ(log().stats().unreadable_records, 2);
  EXPECT_THAT(MustAppend(MakeRecords(1)), ElementsAre(11));
}

TEST_F(DiskLogDamage, ATailTellsDamagedRecordsAsGaps) {
  Fill(10);
  FlipBitOf(6);
  FlipBitOf(7);
  FlipBitOf(10);
  Open();
  test::RecordingFollower follower;
  log().Follow(&follower, {.events_max = 5, .bytes_max = 1 << 20});
  ASSERT_TRUE(follower.WaitUntilCaughtUp());
  EXPECT_THAT(SequencesOf(follower.entries()), ElementsAre(8, 9));
  EXPECT_THAT(follower.gaps(), ElementsAre(7, 10));
  MustAppend(MakeRecords(1));
  EXPECT_THAT(SequencesOf(follower.entries()), ElementsAre(8, 9, 11));
  Close();
  EXPECT_THAT(follower.violations(), testing::IsEmpty());
}

TEST_F(DiskLogDamage, ADamagedRecordIsTrimmedAsTheOthers) {
  options_.bytes_max = 5000;
  Fill(10);
  FlipBitOf(2);
  Open();
  for (int i = 0; i < 10; ++i) {
    MustAppend({MakeRecord("t", std::string(1000, 'x'))});
  }
  EXPECT_GT(GetBounds().oldest, 10);
}

TEST_F(DiskLogDamage, AFileThatIsCutOffIsRefusedOrHasAll) {
  Fill(500);
  const std::string content = Content(DataPath());
  size_t refused = 0;
  std::mt19937_64 random(test::RandomSeed());
  std::vector<size_t> sizes = {
      0, 1, 15, 16, 100, 4095, 4096, 4097, 8191, 8192, 8193, size_t{3} * 4096, content.size() - 1};
  for (int i = 0; i < 40; ++i) {
    // Most of the file is set aside for what is to come.
    sizes.push_back(random() % (i % 8 == 0 ? content.size() : size_t{300'000}));
  }
  for (const size_t size : sizes) {
    SetContent(DataPath(), content.substr(0, size));
    absl::StatusOr<std::unique_ptr<DiskLog>> opened = DiskLog::Open(options_);
    if (!opened.ok()) {
      ++refused;
      EXPECT_EQ(opened.status().code(), absl::StatusCode::kDataLoss) << size;
      EXPECT_THAT(std::string(opened.status().message()), HasSubstr(DataPath() + " is damaged: ")) << size;
      EXPECT_THAT(std::string(opened.status().message()), HasSubstr("Put back a copy of it")) << size;
      continue;
    }
    opened->reset();
    Open();
    EXPECT_EQ(ReadAll().size(), 500) << size;
    Close();
  }
  EXPECT_GT(refused, 20);
}

TEST_F(DiskLogDamage, AFileThatIsNoStoreIsRefused) {
  Fill(1);
  std::mt19937_64 random(test::RandomSeed());
  std::string garbage(100'000, '\0');
  std::ranges::generate(garbage, [&random] { return static_cast<char>(random()); });
  for (const std::string& content : {garbage, std::string(100'000, '\0'), std::string("hello\n")}) {
    SetContent(DataPath(), content);
    const absl::Status error = OpenError();
    EXPECT_EQ(error.code(), absl::StatusCode::kDataLoss) << error;
    EXPECT_THAT(std::string(error.message()), HasSubstr("is not that of a store"));
  }
}

TEST_F(DiskLogDamage, GarbageInEitherMetaPageIsRefused) {
  Fill(3);
  const std::string content = Content(DataPath());
  for (const size_t page : {size_t{0}, size_t{4096}}) {
    std::string damaged = content;
    damaged.replace(page, 152, std::string(152, '\x5a'));
    SetContent(DataPath(), damaged);
    EXPECT_EQ(OpenError().code(), absl::StatusCode::kDataLoss);
  }
}

TEST_F(DiskLogDamage, ADamagedStateIsRefused) {
  Fill(3);
  PutState("not even sealed");
  EXPECT_EQ(OpenError().code(), absl::StatusCode::kDataLoss);
  PutState(disk::SealState("\xff\xff"));
  EXPECT_EQ(OpenError().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(OpenError().message()), HasSubstr(DataPath()));
}

TEST_F(DiskLogDamage, ANewerFormatIsRefused) {
  Fill(3);
  v1::StoreState state;
  state.set_version(7);
  PutState(disk::SealState(state.SerializeAsString()));
  const absl::Status error = OpenError();
  EXPECT_EQ(error.code(), absl::StatusCode::kFailedPrecondition) << error;
  EXPECT_THAT(std::string(error.message()), HasSubstr("has format 7, and this program knows 1"));
}

TEST_F(DiskLogDamage, AStoreThatWasHalfMadeIsMadeAnew) {
  ASSERT_TRUE(std::filesystem::create_directory(path_));
  SetContent(DataPath() + ".new", "half");
  Open();
  EXPECT_THAT(MustAppend(MakeRecords(1)), ElementsAre(1));
}

TEST_F(DiskLogDamage, AJournalOfAnotherStoreIsLeftAlone) {
  options_.sync = DiskLog::Sync::kInterval;
  Open();
  MustAppend(MakeRecords(5));
  Close();
  std::filesystem::remove(DataPath());
  Open();
  EXPECT_EQ(GetBounds().newest, 0);
}

// What a machine that failed may leave of the journal.
TEST_F(DiskLogDamage, OfADamagedJournalTheWholeBeginningIsTaken) {
  options_.sync = DiskLog::Sync::kInterval;
  options_.sync_interval = std::chrono::hours(1);
  Open();
  for (size_t i = 1; i <= 5; ++i) {
    MustAppend({MakeRecord("t", NameOf(i), NameOf(i))});
  }
  const std::string journal = Content(path_ + "/journal.0");
  const std::string data = Content(DataPath());
  Close();

  const size_t third = journal.find(NameOf(3));
  ASSERT_NE(third, std::string::npos);
  std::string flipped = journal;
  flipped[third + 3] = static_cast<char>(flipped[third + 3] ^ 1);
  std::string huge = journal;
  huge.replace(8, 16, std::string(16, '\xff'));
  const std::vector<std::pair<std::string, size_t>> cases = {{journal, 5},
                                                             {flipped, 2},
                                                             {journal.substr(0, third), 2},
                                                             {journal.substr(0, 5), 0},
                                                             {huge, 0},
                                                             {std::string(1000, '\0'), 0},
                                                             {journal + journal, 5}};
  for (const auto& [content, count] : cases) {
    SetContent(DataPath(), data);
    SetContent(path_ + "/journal.0", content);
    Open();
    EXPECT_EQ(GetBounds().newest, count);
    EXPECT_EQ(ReadAll().size(), count);
    EXPECT_THAT(MustAppend({MakeRecord("t", "", NameOf(1))}), ElementsAre(1));
    Close();
  }
}

TEST_F(DiskLogDamage, OfABatchThatIsCutOffInTheJournalTheWholeBeginningIsTaken) {
  options_.sync = DiskLog::Sync::kInterval;
  options_.sync_interval = std::chrono::hours(1);
  Open();
  std::vector<Record> records;
  for (size_t i = 1; i <= 5; ++i) {
    records.push_back(MakeRecord("t", NameOf(i), NameOf(i)));
  }
  MustAppend(std::move(records));
  const std::string journal = Content(path_ + "/journal.0");
  const std::string data = Content(DataPath());
  Close();

  const size_t third = journal.find(NameOf(3));
  ASSERT_NE(third, std::string::npos);
  constexpr size_t kHeadAndTwoPlaces = 24 + 2 * 24;
  std::string far = journal;
  far.replace(kHeadAndTwoPlaces + 8, 8, std::string(8, '\xff'));  // where the third one's bytes are said to be
  const std::vector<std::pair<std::string, size_t>> cases = {
      {journal, 5}, {journal.substr(0, third), 2}, {far, 2}, {journal.substr(0, kHeadAndTwoPlaces), 0}};
  for (const auto& [content, count] : cases) {
    SetContent(DataPath(), data);
    SetContent(path_ + "/journal.0", content);
    Open();
    EXPECT_EQ(GetBounds().newest, count);
    EXPECT_EQ(ReadAll().size(), count);
    Close();
  }
}

}  // namespace
}  // namespace bridge::log
