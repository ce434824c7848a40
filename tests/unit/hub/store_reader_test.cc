#include "bridge/hub/store_reader.h"

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/functional/any_invocable.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "tests/support/bridge_process.h"
#include "tests/support/event_log_fixture.h"
#include "tests/support/faulty_log.h"
#include "tests/support/recording_follower.h"

#include "bridge/log/memory_log.h"

namespace bridge::hub {
namespace {

using ::bridge::test::FaultyLog;

// Keeps what it is told.
class RecordingSink final : public PageSink {
 public:
  void PostPage(FramePagePtr page) override {
    const absl::MutexLock lock(&mutex_);
    pages_.push_back(std::move(page));
  }
  void PostTrimmed(log::Position last_trimmed) override {
    const absl::MutexLock lock(&mutex_);
    trimmed_ = last_trimmed.sequence;
  }

  // The first page that covers the record behind `after`, when it has come.
  FramePagePtr WaitForPage(uint64_t after) const {
    FramePagePtr found;
    const auto has_it = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      for (const FramePagePtr& page : pages_) {
        if (page->after <= after && after < page->read_to) {
          found = page;
        }
      }
      return found != nullptr;
    };
    const absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(absl::Condition(&has_it), absl::Seconds(10));
    return found;
  }
  uint64_t WaitForTrimmed() const {
    const absl::MutexLock lock(&mutex_);
    const auto is_told = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return trimmed_ != 0; };
    mutex_.AwaitWithTimeout(absl::Condition(&is_told), absl::Seconds(10));
    return trimmed_;
  }
  size_t pages() const {
    const absl::MutexLock lock(&mutex_);
    return pages_.size();
  }

 private:
  mutable absl::Mutex mutex_;
  std::vector<FramePagePtr> pages_ ABSL_GUARDED_BY(mutex_);
  uint64_t trimmed_ ABSL_GUARDED_BY(mutex_) = 0;
};

// A log in which nothing matches any pattern; it answers at once, or when it is told to.
class UnmatchedLog final : public log::EventLog {
 public:
  static constexpr uint64_t kNewest = 1000;

  uint64_t failures() const override { return 0; }
  void Append(std::vector<log::Record> /*records*/, uint64_t /*failures_seen*/, AppendCallback /*done*/) override {}
  void Follow(log::Follower* /*follower*/, const Tail& /*tail*/) override {}
  void ResumeFollow() override {}
  void Read(const ReadOptions& options, ReadCallback done) override {
    const log::Page page = {.entries = {}, .read_to = {.epoch = options.after.epoch, .sequence = kNewest}};
    if (is_stalled_) {
      reads_.emplace_back([page, answer = std::move(done)]() mutable { answer(page); });
    } else {
      done(page);
    }
  }
  void GetBounds(BoundsCallback done) override { done(log::Bounds{.epoch = 1, .oldest = 1, .newest = kNewest}); }
  absl::Status health() const override { return absl::OkStatus(); }
  Stats stats() const override { return {}; }

  void Stall() { is_stalled_ = true; }
  void Resume() {
    is_stalled_ = false;
    for (absl::AnyInvocable<void()>& read : std::exchange(reads_, {})) {
      read();
    }
  }
  size_t waiting() const { return reads_.size(); }

 private:
  bool is_stalled_ = false;
  std::vector<absl::AnyInvocable<void()>> reads_;
};

class StoreReaderTest : public testing::Test {
 protected:
  // A log that holds at most so many records, of so many bytes each.
  void Start(size_t events_max, size_t records, size_t bytes = 10) {
    log::MemoryLog::Options options;
    options.history = {.events_max = events_max, .bytes_max = size_t{1} << 30, .age_max = std::chrono::hours(1)};
    auto memory = std::make_unique<log::MemoryLog>(options);
    auto faulty = std::make_unique<FaultyLog>(std::move(memory),
                                              FaultyLog::Options{.seed = 1, .delay_max = absl::Microseconds(20)});
    log_ = faulty.get();
    owned_ = std::move(faulty);
    log_->Follow(&follower_, {});
    ASSERT_TRUE(follower_.WaitUntilCaughtUp());
    for (size_t i = 0; i < records; i += 100) {
      log_->Append(std::vector<log::Record>(100, test::MakeRecord("orders", std::string(bytes, 'x'))),
                   [](const auto&) {});
    }
    ASSERT_TRUE(follower_.WaitForEntries(records));
    reader_ = std::make_unique<StoreReader>(log_);
  }
  void TearDown() override { owned_.reset(); }

  StoreReader::Place After(uint64_t sequence) const {
    return {.after = {.epoch = follower_.epoch(), .sequence = sequence}, .pattern = ""};
  }

  test::RecordingFollower follower_;
  RecordingSink sink_;
  std::unique_ptr<StoreReader> reader_;
  FaultyLog* log_ = nullptr;
  std::unique_ptr<log::EventLog> owned_;
};

TEST_F(StoreReaderTest, APageHoldsTheRecordsBehindThePlaceInOrder) {
  Start(10'000, 2000);
  EXPECT_EQ(reader_->Find(After(300)), nullptr);
  reader_->Fetch(After(300), &sink_);
  const FramePagePtr page = sink_.WaitForPage(300);
  ASSERT_NE(page, nullptr);
  uint64_t sequence = page->after;
  for (const sse::FramePtr& frame : page->list.frames()) {
    EXPECT_EQ(frame->sequence(), ++sequence);
  }
  EXPECT_EQ(page->read_to, sequence);
  EXPECT_EQ(reader_->Find(After(300)), page);
}

TEST_F(StoreReaderTest, StreamsAtAboutTheSamePlaceShareAPage) {
  Start(10'000, 2000);
  for (uint64_t after = 512; after < 700; ++after) {
    reader_->Fetch(After(after), &sink_);
  }
  const FramePagePtr page = sink_.WaitForPage(699);
  ASSERT_NE(page, nullptr);
  for (uint64_t after = 512; after < 700; ++after) {
    EXPECT_EQ(sink_.WaitForPage(after), page) << after;
  }
}

TEST_F(StoreReaderTest, GoesOnUntilThePageOfTheFurthestPlace) {
  Start(10'000, 300, 20'000);  // some 25 records a page
  reader_->Fetch(After(250), &sink_);
  const FramePagePtr page = sink_.WaitForPage(250);
  ASSERT_NE(page, nullptr);
  EXPECT_GT(page->read_to, 250);
}

TEST_F(StoreReaderTest, TellsWhatHasBeenTrimmedAndServesTheRest) {
  Start(1000, 2000);
  reader_->Fetch(After(400), &sink_);
  EXPECT_EQ(sink_.WaitForTrimmed(), 1000);
  // Its aligned page begins before what is left.
  reader_->Fetch(After(1010), &sink_);
  ASSERT_NE(sink_.WaitForPage(1010), nullptr);
  EXPECT_EQ(sink_.WaitForPage(1010)->after, 1000);
}

TEST_F(StoreReaderTest, AFailedReadIsMadeAgainWhenAskedAgain) {
  Start(10'000, 1000);
  log_->FailNextRead();
  reader_->Fetch(After(10), &sink_);
  test::Answer<log::Bounds> bounds;
  log_->GetBounds(bounds.Callback());
  ASSERT_TRUE(bounds.Wait().ok());  // what was asked before it has been answered
  EXPECT_EQ(sink_.pages(), 0);
  EXPECT_TRUE(test::Eventually([&] {
    reader_->Fetch(After(10), &sink_);
    return sink_.pages() > 0;
  }));
}

TEST_F(StoreReaderTest, NothingThatWasAskedForBeforeADropIsServedAfterIt) {
  Start(10'000, 2000);
  reader_->Fetch(After(300), &sink_);
  ASSERT_NE(sink_.WaitForPage(300), nullptr);
  log_->StallStore();
  reader_->Fetch(After(1800), &sink_);
  reader_->Drop();
  log_->ResumeStore();
  test::Answer<log::Bounds> bounds;
  log_->GetBounds(bounds.Callback());
  ASSERT_TRUE(bounds.Wait().ok());  // what was asked before it has been answered
  EXPECT_EQ(reader_->Find(After(300)), nullptr);
  EXPECT_EQ(reader_->Find(After(1800)), nullptr);
  EXPECT_EQ(sink_.pages(), 1);
  reader_->Fetch(After(1800), &sink_);
  EXPECT_NE(sink_.WaitForPage(1800), nullptr);
}

TEST_F(StoreReaderTest, KeepsABoundedNumberOfPages) {
  constexpr size_t kRecords = 6000;
  constexpr size_t kBytes = 10'000;
  static_assert(kRecords * kBytes > StoreReader::kBytesKept * 3 / 2);
  Start(10'000, kRecords, kBytes);
  for (uint64_t after = 0; after < kRecords; ++after) {
    if (reader_->Find(After(after)) == nullptr) {
      reader_->Fetch(After(after), &sink_);
      ASSERT_NE(sink_.WaitForPage(after), nullptr);
    }
  }
  size_t kept = 0;
  for (uint64_t after = 0; after < kRecords; ++after) {
    kept += reader_->Find(After(after)) != nullptr ? kBytes : 0;
  }
  EXPECT_LE(kept, StoreReader::kBytesKept);
  EXPECT_GT(kept, StoreReader::kBytesKept / 2);
}

// A stranger's pattern costs memory even where nothing matches it.
TEST(StoreReaderOfStrangers, KeepsABoundedNumberOfPagesWithoutRecords) {
  UnmatchedLog log;
  StoreReader reader(&log);
  RecordingSink sink;
  const auto pattern_of = [](size_t i) { return absl::StrCat("x", i, ".", std::string(200, 'y')); };
  constexpr size_t kPages = 60'000;
  static_assert(kPages * 3 * 200 > StoreReader::kBytesKept);
  for (size_t i = 0; i < kPages; ++i) {
    reader.Fetch({.after = {.epoch = 1, .sequence = 0}, .pattern = pattern_of(i)}, &sink);
  }
  ASSERT_EQ(sink.pages(), kPages);
  size_t kept = 0;
  for (size_t i = 0; i < kPages; ++i) {
    kept += reader.Find({.after = {.epoch = 1, .sequence = 0}, .pattern = pattern_of(i)}) != nullptr ? 1 : 0;
  }
  EXPECT_LE(kept * 3 * 200, StoreReader::kBytesKept);
  EXPECT_GT(kept, 1000);
}

TEST(StoreReaderOfStrangers, HasABoundedNumberOfReadsWait) {
  UnmatchedLog log;
  StoreReader reader(&log);
  RecordingSink sink;
  const auto fetch = [&](size_t i) {
    reader.Fetch({.after = {.epoch = 1, .sequence = 0}, .pattern = absl::StrCat("x", i)}, &sink);
  };
  log.Stall();
  for (size_t i = 0; i < 2 * StoreReader::kReadsMax; ++i) {
    fetch(i);
  }
  EXPECT_EQ(log.waiting(), StoreReader::kReadsMax);
  log.Resume();
  EXPECT_EQ(sink.pages(), StoreReader::kReadsMax);
  fetch(2 * StoreReader::kReadsMax - 1);
  EXPECT_EQ(sink.pages(), StoreReader::kReadsMax + 1) << "who was left out asks again";
}

}  // namespace
}  // namespace bridge::hub
