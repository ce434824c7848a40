// Streams of a hub whose log has missed some records.
#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/support/answer.h"
#include "tests/support/bridge_process.h"
#include "tests/unit/hub/hub_fixture.h"

#include "bridge/hub/feed.h"
#include "bridge/hub/hub.h"
#include "bridge/hub/store_reader.h"
#include "bridge/log/memory_log.h"

namespace bridge::hub {
namespace {

using ::testing::ElementsAre;

// A hub that is handed records by the test, and finds the newest ten in the store. Each one's data is its sequence.
class HubStoreTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kStored = 10;

  HubStoreTest() {
    loop_.BlockOn([&] {
      hub_ = std::make_unique<Hub>(&loop_.loop(), &log_, &reader_, HubOptions(), [this] { is_ready_ = true; });
    });
    feed_.Start([] {}, {hub_.get()});
    feed_.OnEpoch(1, 0);
    feed_.OnCaughtUp();
    EXPECT_TRUE(test::Eventually([&] { return is_ready_.load(); }));
  }
  ~HubStoreTest() override {
    loop_.BlockOn([&] {
      hub_->loop().AssertOnLoop();
      hub_->EndAll(EndReason::kDraining);
    });
    loop_.BlockOn([&] { hub_ = nullptr; });
  }

  void Open(Client* client, const Start& start) {
    loop_.BlockOn([&] {
      hub_->loop().AssertOnLoop();
      Selection selection;
      selection.patterns.push_back(*topic::Pattern::Parse("a"));
      selection.framing = Framing::kPlain;
      const Hub::Opening opening = hub_->Open(selection, start);
      std::string text = opening.text;
      hub_->Add(*new FakeStream(client), std::move(selection), opening, std::move(text), {});
    });
  }
  static log::Entry EntryOf(uint64_t sequence) {
    log::Entry entry = {.sequence = sequence, .record = {}, .received = base::MonotonicClock::now()};
    entry.record.topic = "a";
    entry.record.data = absl::StrCat(sequence);
    return entry;
  }
  // The store takes the records up to this one.
  void Store(uint64_t newest) {
    for (; stored_ < newest; ++stored_) {
      test::Answer<std::vector<log::Appended>> answer;
      log_.Append({EntryOf(stored_ + 1).record}, answer.Callback());
      EXPECT_TRUE(answer.Wait().ok());
    }
  }
  void HandOver(uint64_t first, uint64_t last) {
    for (uint64_t sequence = first; sequence <= last; ++sequence) {
      const log::Entry entry = EntryOf(sequence);
      feed_.OnEntries(absl::MakeConstSpan(&entry, 1));
    }
  }
  // What the client has got, with the reasons of gaps.
  static std::vector<std::string> Got(const Client& client) {
    std::vector<std::string> got;
    for (const test::SseEvent& event : client.events()) {
      if (event.type == "message") {
        got.push_back(event.data);
      } else if (event.type == "bridge.gap") {
        got.push_back(absl::StrContains(event.data, R"("reason":"trimmed")") ? "trimmed" : event.data);
      }
    }
    return got;
  }
  static bool AwaitsData(const Client& client, const std::string& last) {
    return test::Eventually([&] { return !client.events().empty() && client.events().back().data == last; });
  }

  // They outlive their streams.
  std::deque<Client> clients_;
  std::atomic<bool> is_ready_{false};
  loop::LoopThread loop_{"test"};
  Feed feed_;
  log::MemoryLog log_{log::MemoryLog::Options{
      .epoch = 1, .history = {.events_max = kStored, .bytes_max = 1 << 20, .age_max = std::chrono::hours(1)}}};
  StoreReader reader_{&log_};
  std::unique_ptr<Hub> hub_;
  uint64_t stored_ = 0;
};

TEST_F(HubStoreTest, OfAGapStreamsAreToldWhatTheStoreHasNotAndGetTheRest) {
  Client& live = clients_.emplace_back();
  Client& quiet = clients_.emplace_back();
  Open(&live, {});
  Store(3);
  HandOver(1, 3);
  ASSERT_TRUE(AwaitsData(live, "3"));
  Open(&quiet, {});
  Store(30);
  feed_.OnGap(25, log::Follower::Missing::kTrimmed);
  HandOver(26, 30);
  ASSERT_TRUE(AwaitsData(live, "30") && AwaitsData(quiet, "30"));
  EXPECT_THAT(Got(live),
              ElementsAre("1", "2", "3", "trimmed", "21", "22", "23", "24", "25", "26", "27", "28", "29", "30"));
  EXPECT_THAT(Got(quiet), ElementsAre("trimmed", "21", "22", "23", "24", "25", "26", "27", "28", "29", "30"));
}

TEST_F(HubStoreTest, OfAGapNothingIsToldWhereTheStoreHasAll) {
  Client& client = clients_.emplace_back();
  Open(&client, {});
  Store(3);
  HandOver(1, 3);
  ASSERT_TRUE(AwaitsData(client, "3"));
  Store(10);
  feed_.OnGap(8, log::Follower::Missing::kUnreadable);
  HandOver(9, 10);
  ASSERT_TRUE(AwaitsData(client, "10"));
  EXPECT_THAT(Got(client), ElementsAre("1", "2", "3", "4", "5", "6", "7", "8", "9", "10"));
}

TEST_F(HubStoreTest, AGapIsNotToldToAStreamThatIsAheadOfIt) {
  Client& client = clients_.emplace_back();
  Store(30);
  Open(&client, {.kind = Start::Kind::kAfterId, .id = log::EventIdOf({.epoch = 1, .sequence = 27})});
  feed_.OnGap(25, log::Follower::Missing::kTrimmed);
  HandOver(26, 30);
  ASSERT_TRUE(AwaitsData(client, "30"));
  EXPECT_THAT(Got(client), ElementsAre("28", "29", "30"));
}

}  // namespace
}  // namespace bridge::hub
