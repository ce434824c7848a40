// Topics with a last record, behind which their streams end.
#include <memory>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "tests/support/bridge_process.h"
#include "tests/unit/hub/hub_fixture.h"

#include "bridge/hub/hub.h"

namespace bridge::hub {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

class TopicEndTest : public HubFixture {
 protected:
  explicit TopicEndTest(const HubOptions& options = Options()) : HubFixture(options) {}

  static HubOptions Options() {
    HubOptions options;
    options.history = {.events_max = 20'000};
    options.end_type = "end";
    return options;
  }
  static Start FromBeginning() { return {.kind = Start::Kind::kReplayAll, .id = ""}; }
  static Start After(const std::string& id) { return {.kind = Start::Kind::kAfterId, .id = id}; }
};

TEST_F(TopicEndTest, ALiveStreamGetsTheLastRecordAndEndsWithoutBridgeClosing) {
  Client& client = NewClient();
  Client& other = NewClient();
  Open(&client, SelectionOf("a"), FromBeginning());
  Open(&other, SelectionOf("b"), FromBeginning());
  ASSERT_TRUE(client.Awaits({"bridge.open"}));
  Publish("a", "1");
  ASSERT_TRUE(client.Awaits({"bridge.open", "message"}));
  Publish("a", "done", "end");
  ASSERT_TRUE(client.AwaitsEnd());
  EXPECT_THAT(client.types(), ElementsAre("bridge.open", "message", "end"));
  EXPECT_EQ(Ends(EndReason::kComplete), 1U);
  EXPECT_FALSE(other.has_ended());
  EXPECT_THAT(other.types(), ElementsAre("bridge.open"));
}

TEST_F(TopicEndTest, ABodyInChunksEndsWithTheLastChunkBehindTheRecord) {
  Client& client = NewClient();
  Open(&client, SelectionOf("a", Framing::kChunked), FromBeginning());
  Publish("a", "done", "end");
  ASSERT_TRUE(client.AwaitsEnd());
  EXPECT_THAT(client.bytes(), EndsWith("\n\n\r\n0\r\n\r\n"));
  EXPECT_THAT(client.bytes(), HasSubstr("event: end"));
  EXPECT_THAT(client.bytes(), Not(HasSubstr("bridge.closing")));
  Client& late = NewClient();
  Open(&late, SelectionOf("a", Framing::kChunked), FromBeginning());
  ASSERT_TRUE(late.AwaitsEnd());
  EXPECT_THAT(late.bytes(), EndsWith("\n\n\r\n0\r\n\r\n"));
}

TEST_F(TopicEndTest, AStreamThatComesAfterTheEndGetsAllAndEnds) {
  Publish("a", "1");
  Publish("b", "other");
  Publish("a", "done", "end");
  Publish("b", "other");
  ASSERT_TRUE(HasTaken(4));
  Client& client = NewClient();
  Open(&client, SelectionOf("a"), FromBeginning());
  ASSERT_TRUE(client.AwaitsEnd());
  EXPECT_THAT(client.types(), ElementsAre("bridge.open", "message", "end"));

  Client& resumed = NewClient();
  Open(&resumed, SelectionOf("a"), After(client.events()[1].id));
  ASSERT_TRUE(resumed.AwaitsEnd());
  EXPECT_THAT(resumed.types(), ElementsAre("bridge.open", "end"));

  Client& behind = NewClient();
  Open(&behind, SelectionOf("a"), After(client.events()[2].id));
  ASSERT_TRUE(behind.AwaitsEnd());
  EXPECT_THAT(behind.types(), ElementsAre("bridge.open"));
  EXPECT_EQ(Ends(EndReason::kComplete), 3U);
}

TEST_F(TopicEndTest, AStreamThatIsBlockedEndsWhenItHasTakenAll) {
  Client& client = NewClient();
  Open(&client, SelectionOf("a"), FromBeginning());
  ASSERT_TRUE(client.Awaits({"bridge.open"}));
  client.room = 600;  // the first frame, and a part of the second
  Publish("a", std::string(400, '1'));
  Publish("a", std::string(400, '2'));
  Publish("a", "done", "end");
  ASSERT_TRUE(HasTaken(3));
  ASSERT_TRUE(client.Awaits({"bridge.open", "message"}));
  EXPECT_FALSE(client.has_ended());
  MakeRoom(&client);
  ASSERT_TRUE(client.AwaitsEnd());
  EXPECT_THAT(client.types(), ElementsAre("bridge.open", "message", "message", "end"));
}

TEST_F(TopicEndTest, AStreamThatTakesAPartOfTheLastRecordEndsWhenItHasTheRest) {
  Client& client = NewClient();
  Open(&client, SelectionOf("a"), FromBeginning());
  ASSERT_TRUE(client.Awaits({"bridge.open"}));
  client.room = 100;
  Publish("a", std::string(400, '1'), "end");
  ASSERT_TRUE(HasTaken(1));
  ASSERT_TRUE(test::Eventually([&] { return client.room == 0; }));
  EXPECT_FALSE(client.has_ended());
  MakeRoom(&client);
  ASSERT_TRUE(client.AwaitsEnd());
  EXPECT_THAT(client.types(), ElementsAre("bridge.open", "end"));
}

TEST_F(TopicEndTest, AllStreamsOfATopicEndAlsoWhereTheyAreStillOwedSomething) {
  constexpr size_t kStreams = 500;  // more than one turn serves
  for (size_t i = 0; i < kStreams; ++i) {
    Open(&NewClient(), SelectionOf("a", i % 2 == 0 ? Framing::kPlain : Framing::kChunked), FromBeginning());
  }
  log::Record record;
  record.topic = "a";
  std::vector<log::Record> batch(10, record);
  batch.back().type = "end";
  log_->Append(std::move(batch), [](const auto&) {});
  ASSERT_TRUE(test::Eventually([&] { return Ends(EndReason::kComplete) == kStreams; }));
  for (size_t i = 0; i < kStreams; i += 2) {
    ASSERT_EQ(clients_[i].types().size(), 11U);
    ASSERT_EQ(clients_[i].types().back(), "end");
  }
}

TEST_F(TopicEndTest, AStreamThatWaitsForThisReplicaEndsWhenTheEndIsReached) {
  Client& at_end = NewClient();
  Client& before = NewClient();
  OnLoop([&] {
    // Ids that another replica has given out: this one is told of them in the same turn.
    log::Record record;
    record.topic = "a";
    log::Record end = record;
    end.type = "end";
    log_->Append({record, end}, [](const auto&) {});
    Add(&at_end, SelectionOf("a"), After(log::EventIdOf({.epoch = 1, .sequence = 2})));
    Add(&before, SelectionOf("a"), After(log::EventIdOf({.epoch = 1, .sequence = 1})));
  });
  ASSERT_TRUE(at_end.AwaitsEnd());
  ASSERT_TRUE(before.AwaitsEnd());
  EXPECT_THAT(at_end.types(), ElementsAre("bridge.open"));
  EXPECT_THAT(before.types(), ElementsAre("bridge.open", "end"));
}

TEST_F(TopicEndTest, StreamsOfPatternsGoOn) {
  Client& client = NewClient();
  Open(&client, SelectionOf("*"), {});
  Publish("a", "done", "end");
  Publish("b", "1");
  ASSERT_TRUE(client.Awaits({"bridge.open", "end", "message"}));
  EXPECT_FALSE(client.has_ended());
}

TEST_F(TopicEndTest, BridgeOpenHasTheDataOfItsStart) {
  Client& client = NewClient();
  Start start = FromBeginning();
  start.open_data = R"({"call_id":"x"})";
  Open(&client, SelectionOf("a"), start);
  ASSERT_TRUE(client.Awaits({"bridge.open"}));
  EXPECT_EQ(client.events()[0].data, R"({"call_id":"x"})");
  EXPECT_THAT(client.bytes(), HasSubstr("retry: "));
}

TEST_F(TopicEndTest, ALogThatBeginsAnewEndsStreamsWhoseEndMayBeLost) {
  Client& client = NewClient();
  Open(&client, SelectionOf("a"), FromBeginning());
  Publish("a", "1");
  ASSERT_TRUE(client.Awaits({"bridge.open", "message"}));
  hub_->PostEpoch(2, 0);
  ASSERT_TRUE(client.AwaitsEnd());
  EXPECT_THAT(client.types(), ElementsAre("bridge.open", "message", "bridge.gap", "bridge.closing"));
  EXPECT_EQ(Ends(EndReason::kEpoch), 1U);
}

class PacedTopicEndTest : public TopicEndTest {
 protected:
  PacedTopicEndTest() : TopicEndTest(PacedOptions()) {}

  static HubOptions PacedOptions() {
    HubOptions options = Options();
    options.replay_events_per_second = 20;
    options.heartbeat = absl::Milliseconds(100);
    options.heartbeats = Heartbeats::kCommentsOnly;
    return options;
  }
};

TEST_F(PacedTopicEndTest, AReplayIsHeldBackAndNeverCut) {
  constexpr size_t kEvents = 30;
  for (size_t i = 0; i < kEvents; ++i) {
    Publish("a", "1");
  }
  Publish("a", "done", "end");
  ASSERT_TRUE(HasTaken(kEvents + 1));
  Client& client = NewClient();
  Open(&client, SelectionOf("a"), FromBeginning());
  ASSERT_TRUE(client.AwaitsEnd());
  EXPECT_EQ(client.types().size(), kEvents + 2);
  EXPECT_EQ(client.types().back(), "end");
}

TEST_F(PacedTopicEndTest, HeartbeatsAreCommentsWhateverOtherTopicsGet) {
  Client& client = NewClient();
  Open(&client, SelectionOf("a"), FromBeginning());
  ASSERT_TRUE(client.Awaits({"bridge.open"}));
  Publish("b", "other");
  ASSERT_TRUE(test::Eventually([&] { return absl::EndsWith(client.bytes(), ":\n\n:\n\n"); }));
  EXPECT_THAT(client.types(), ElementsAre("bridge.open"));
}

// Two hubs that share a loop, as the streams of events and those of answers do.
TEST_F(TopicEndTest, TwoHubsShareALoop) {
  auto other_log = std::make_unique<log::MemoryLog>(log::MemoryLog::Options{.epoch = 7});
  Feed other_feed;
  std::unique_ptr<Hub> other;
  std::atomic<bool> is_ready{false};
  OnLoop([&] {
    other = std::make_unique<Hub>(&loop_.loop(), other_log.get(), nullptr, HubOptions{}, [&] { is_ready = true; });
  });
  other_feed.Start([log = other_log.get()] { log->ResumeFollow(); }, {other.get()});
  other_log->Follow(&other_feed, {.events_max = 1000, .bytes_max = 1 << 20});
  ASSERT_TRUE(test::Eventually([&] { return is_ready.load(); }));

  Client& client = NewClient();
  Client& other_client = NewClient();
  Open(&client, SelectionOf("a"), FromBeginning());
  OnLoop([&] {
    other->loop().AssertOnLoop();
    Selection selection = SelectionOf("a");
    const Hub::Opening opening = other->Open(selection, {});
    std::string text = opening.text;
    other->Add(*new FakeStream(&other_client), std::move(selection), opening, std::move(text), {});
  });
  constexpr size_t kEvents = 2000;
  log::Record record;
  record.topic = "a";
  log_->Append(std::vector<log::Record>(kEvents, record), [](const auto&) {});
  other_log->Append(std::vector<log::Record>(kEvents, record), [](const auto&) {});
  Publish("a", "done", "end");
  EXPECT_TRUE(client.AwaitsEnd());
  EXPECT_EQ(client.types().size(), kEvents + 2);
  EXPECT_TRUE(test::Eventually([&] { return other_client.types().size() == kEvents + 1; }));

  // One goes, the other one goes on.
  OnLoop([&] {
    other->loop().AssertOnLoop();
    other->EndAll(EndReason::kDraining);
  });
  other_feed.Detach();
  other_log = nullptr;
  OnLoop([&] { other = nullptr; });
  Client& late = NewClient();
  Open(&late, SelectionOf("b"), FromBeginning());
  Publish("b", "1");
  EXPECT_TRUE(late.Awaits({"bridge.open", "message"}));
}

}  // namespace
}  // namespace bridge::hub
