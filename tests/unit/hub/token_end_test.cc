// Streams whose token ends, on a wall clock of the test's own.
#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/bridge_process.h"
#include "tests/unit/hub/hub_fixture.h"

#include "bridge/hub/hub.h"

namespace bridge::hub {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kStart = 1'800'000'000;

class TokenEndTest : public HubFixture {
 protected:
  TokenEndTest() : HubFixture(Options()) {}

  // Opens a stream whose token ends so many seconds after kStart.
  void Open(Client* client, int64_t ends_s, const Start& start = {}, const std::vector<std::string>& types = {}) {
    OpenUntil(client, absl::FromUnixSeconds(kStart + ends_s), start, types);
  }
  void OpenUntil(Client* client, absl::Time ends, const Start& start = {}, const std::vector<std::string>& types = {}) {
    Selection selection = SelectionOf("a");
    selection.types = types;
    HubFixture::Open(client, std::move(selection), start, {.ends = ends});
  }
  void Publish(const std::string& data) { HubFixture::Publish("a", data); }
  static void SetClock(int64_t after_start_s) { now_s_ = kStart + after_start_s; }

 private:
  static HubOptions Options() {
    SetClock(0);
    HubOptions options;
    options.history = {.events_max = 20'000};
    options.wall_clock = [] { return absl::FromUnixSeconds(now_s_); };
    return options;
  }

  static inline std::atomic<int64_t> now_s_;
};

TEST_F(TokenEndTest, AStreamIsToldHalfAMinuteBeforeAndEndsWithItsToken) {
  Client& client = NewClient();
  Open(&client, 100);
  SetClock(69);
  ASSERT_TRUE(client.Awaits({"bridge.open"}));
  SetClock(70);
  ASSERT_TRUE(client.Awaits({"bridge.open", "bridge.expiring"}));
  EXPECT_EQ(client.events().back().data, "{\"seconds\":30}");
  EXPECT_EQ(client.events().back().id, client.events().front().id);
  SetClock(99);
  EXPECT_FALSE(test::Eventually([&] { return client.has_ended(); }, absl::Milliseconds(1500)));
  SetClock(100);
  ASSERT_TRUE(client.Awaits({"bridge.open", "bridge.expiring", "bridge.closing"}));
  EXPECT_THAT(client.events().back().data, HasSubstr("token_expired"));
  EXPECT_EQ(client.events().back().id, client.events().front().id);
  EXPECT_TRUE(test::Eventually([&] { return client.has_ended(); }));
  EXPECT_EQ(Ends(EndReason::kTokenExpired), 1U);
}

TEST_F(TokenEndTest, WhereLessIsLeftAStreamIsToldAtHalfOfThat) {
  Client& client = NewClient();
  Open(&client, 10);
  SetClock(5);
  ASSERT_TRUE(client.Awaits({"bridge.open", "bridge.expiring"}));
  EXPECT_EQ(client.events().back().data, "{\"seconds\":5}");
}

TEST_F(TokenEndTest, AStreamWithoutATokenGoesOn) {
  Client& client = NewClient();
  OpenUntil(&client, absl::InfiniteFuture());
  Client& far = NewClient();
  OpenUntil(&far, absl::FromUnixSeconds(int64_t{1} << 40));
  SetClock(int64_t{1} << 31);
  Client& other = NewClient();
  Open(&other, 1);
  EXPECT_TRUE(test::Eventually([&] { return other.has_ended(); }));
  EXPECT_THAT(client.types(), ElementsAre("bridge.open"));
  EXPECT_THAT(far.types(), ElementsAre("bridge.open"));
}

TEST_F(TokenEndTest, AClockThatJumpsForwardEndsWhatHasEnded) {
  Client& client = NewClient();
  Open(&client, 3600);
  Client& later = NewClient();
  Open(&later, 7200);
  SetClock(3601);
  ASSERT_TRUE(client.Awaits({"bridge.open", "bridge.closing"}));
  EXPECT_THAT(later.types(), ElementsAre("bridge.open"));
}

TEST_F(TokenEndTest, AClockThatJumpsBackEndsNothingEarlyAndRepeatsNothing) {
  Client& client = NewClient();
  Open(&client, 100);
  SetClock(80);
  ASSERT_TRUE(client.Awaits({"bridge.open", "bridge.expiring"}));
  SetClock(-100);
  EXPECT_FALSE(test::Eventually([&] { return client.types().size() > 2; }, absl::Milliseconds(1500)));
  SetClock(80);
  EXPECT_FALSE(test::Eventually([&] { return client.types().size() > 2; }, absl::Milliseconds(1500)));
  SetClock(100);
  ASSERT_TRUE(client.Awaits({"bridge.open", "bridge.expiring", "bridge.closing"}));
}

TEST_F(TokenEndTest, AStreamThatIsBehindGetsNothingMoreButTheIdFromWhichItGoesOn) {
  Client& client = NewClient();
  Open(&client, 10);
  ASSERT_TRUE(client.Awaits({"bridge.open"}));
  client.room = 600;  // the first frame, and a part of the second
  for (const char* const data : {"1", "2", "3"}) {
    Publish(std::string(400, data[0]));
  }
  ASSERT_TRUE(client.Awaits({"bridge.open", "message"}));
  SetClock(10);
  EXPECT_FALSE(test::Eventually([&] { return client.has_ended(); }, absl::Milliseconds(1500))) << "it does not read";
  MakeRoom(&client);
  ASSERT_TRUE(client.Awaits({"bridge.open", "message", "message", "bridge.closing"}));
  EXPECT_TRUE(test::Eventually([&] { return client.has_ended(); }));
  EXPECT_EQ(client.events()[2].data, std::string(400, '2'));
  EXPECT_EQ(client.events()[3].id, client.events()[2].id);
  EXPECT_NE(client.events()[3].id, client.events()[1].id);

  Client& next = NewClient();
  Open(&next, 3600, {.kind = Start::Kind::kAfterId, .id = client.events()[3].id});
  ASSERT_TRUE(next.Awaits({"bridge.open", "message"}));
  EXPECT_EQ(next.events()[1].data, std::string(400, '3'));
}

TEST_F(TokenEndTest, ManyThatEndTogetherAreToldInSlices) {
  constexpr size_t kStreams = 20'000;
  Client& client = NewClient();
  for (size_t i = 0; i < kStreams; ++i) {
    client.room = 1 << 20;
    Open(&client, 100);
  }
  client.room = size_t{1} << 40;
  const uint64_t turns_before = loop_.loop().lag().turns;
  SetClock(100);
  EXPECT_TRUE(test::Eventually([&] { return Ends(EndReason::kTokenExpired) == kStreams; }, absl::Seconds(30)));
  // A turn writes to so many at most. Where all were told in one turn, that would be all the turns.
  constexpr uint64_t kWritesPerTurnMax = 128;
  EXPECT_GT(loop_.loop().lag().turns - turns_before, kStreams / kWritesPerTurnMax * 3 / 2);
}

TEST_F(TokenEndTest, AStreamWhoseStartIsStillLookedForKeepsTheIdThatItCameWith) {
  constexpr size_t kRecords = 10'000;  // more than are looked at in one turn
  for (size_t i = 0; i < kRecords; ++i) {
    Publish("no match");
  }
  EXPECT_TRUE(HasTaken(kRecords));
  Client& before = NewClient();
  Open(&before, 1);  // from its end on, the hub knows what time it is
  SetClock(1);
  EXPECT_TRUE(test::Eventually([&] { return before.has_ended(); }));
  Client& client = NewClient();
  Open(&client, 1, {.kind = Start::Kind::kReplayLast, .id = "", .count = 1}, {"other"});
  ASSERT_TRUE(client.Awaits({"bridge.closing"}));
  EXPECT_EQ(client.events()[0].id, "");
}

TEST_F(TokenEndTest, AStreamThatLeavesIsForgotten) {
  Client& client = NewClient();
  Open(&client, 100);
  loop_.BlockOn([&] {
    hub_->loop().AssertOnLoop();
    hub_->End(*client.stream, EndReason::kClientClosed);
  });
  SetClock(200);
  Client& other = NewClient();
  Open(&other, 100);
  EXPECT_TRUE(test::Eventually([&] { return other.has_ended(); }));
  EXPECT_EQ(Ends(EndReason::kTokenExpired), 1U);
}

}  // namespace
}  // namespace bridge::hub
