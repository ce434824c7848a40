// Event streams on a log that holds more than the bridge's ring.
#include "tests/support/store.h"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/bridge_process.h"
#include "tests/support/publisher.h"
#include "tests/support/sse_client.h"

namespace bridge::test {
namespace {

using ::testing::HasSubstr;

class StoreTest : public ::testing::TestWithParam<StoreKind> {
 protected:
  // A bridge whose ring is much smaller than its store.
  void Start(std::vector<std::string> settings = {}) {
    settings.insert(settings.begin(), {"log.history.max_events=50", "http.event_loops=2"});
    for (const std::string& setting : store_->settings()) {
      settings.push_back(setting);
    }
    bridge_ = std::make_unique<BridgeProcess>(settings);
    publisher_ = std::make_unique<Publisher>(bridge_->grpc_target());
  }

  // Publishes `count` numbers on `topic`, and returns their ids.
  std::vector<std::string> PublishNumbers(int count, const std::string& topic = "a", int first = 0) {
    constexpr int kBatch = 100;
    std::vector<std::string> ids;
    for (int i = first; i < first + count; i += kBatch) {
      std::vector<v1::Event> events;
      for (int j = i; j < std::min(i + kBatch, first + count); ++j) {
        events.push_back(TextEvent(topic, absl::StrCat(j)));
      }
      const v1::Ack ack = publisher_->Publish(events);
      const std::string epoch = ack.first_id().substr(0, ack.first_id().find('-') + 1);
      const uint64_t sequence = std::stoull(ack.first_id().substr(epoch.size()));
      for (size_t j = 0; j < events.size(); ++j) {
        ids.push_back(absl::StrCat(epoch, sequence + j));
      }
    }
    return ids;
  }

  // The client gets the numbers from `first` to `end`, in order and nothing else.
  static void ExpectNumbers(SseClient* client, int first, int end) {
    for (int number = first; number < end; ++number) {
      std::optional<SseEvent> event = client->Next();
      while (event && (event->type == "bridge.heartbeat" || event->type == "bridge.open")) {
        event = client->Next();
      }
      ASSERT_TRUE(event) << "nothing came instead of " << number;
      ASSERT_EQ(event->data, absl::StrCat(number)) << event->type << " " << event->id;
    }
  }

  const std::unique_ptr<Store> store_ = GetParam().make();
  std::unique_ptr<BridgeProcess> bridge_;
  std::unique_ptr<Publisher> publisher_;
};

TEST_P(StoreTest, AResumeBehindTheRingIsExact) {
  Start();
  const auto ids = PublishNumbers(2000);
  for (const int from : {0, 1, 255, 256, 257, 1000, 1948, 1949, 1950, 1998}) {
    SseClient client(bridge_->http_port(), "/events?topic=a", ids[static_cast<size_t>(from)]);
    EXPECT_EQ(client.ReadOpen(), ids[static_cast<size_t>(from)]);
    ExpectNumbers(&client, from + 1, 2000);
    EXPECT_EQ(client.NextOwn(absl::Milliseconds(20)), std::nullopt);
  }
  EXPECT_EQ(bridge_->Metric("sse_bridge_gaps_total{reason=\"trimmed\"}"), 0);
}

TEST_P(StoreTest, TheSeamBetweenStoreRingAndLiveLosesAndRepeatsNothing) {
  Start();
  PublishNumbers(1000);
  std::vector<std::unique_ptr<SseClient>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::make_unique<SseClient>(bridge_->http_port(), "/events?topic=a&replay=all"));
    PublishNumbers(50, "a", 1000 + i * 50);
  }
  for (auto& client : clients) {
    client->ReadOpen();
    ExpectNumbers(client.get(), 0, 2000);
  }
}

TEST_P(StoreTest, OnlyWhatWasAskedForComesFromTheStore) {
  Start();
  for (int i = 0; i < 10; ++i) {
    PublishNumbers(100, "noise", i * 100);
    PublishNumbers(10, "x.1", i * 10);
    publisher_->Publish(TextEvent("y", "tick", "tick"));
  }
  SseClient one(bridge_->http_port(), "/events?topic=x.1&replay=all");
  one.ReadOpen();
  ExpectNumbers(&one, 0, 100);
  SseClient wild(bridge_->http_port(), "/events?topic=x.*&replay=all");
  wild.ReadOpen();
  ExpectNumbers(&wild, 0, 100);
  SseClient types(bridge_->http_port(), "/events?topic=>&type=tick&replay=all");
  types.ReadOpen();
  EXPECT_EQ(types.NextData(10), std::vector<std::string>(10, "tick"));
  SseClient several(bridge_->http_port(), "/events?topic=x.1&topic=y&replay=all");
  several.ReadOpen();
  EXPECT_EQ(several.NextData(110).size(), 110);
}

TEST_P(StoreTest, ASlowStreamThatFallsOutOfTheRingGetsEverythingFromTheStore) {
  Start();
  SseClient slow(bridge_->http_port(), {.target = "/events?topic=a", .receive_buffer_bytes = 4096});
  slow.ReadOpen();
  const std::string padding(1000, 'x');
  constexpr int kEvents = 4000;
  for (int i = 0; i < kEvents; i += 100) {
    std::vector<v1::Event> events;
    for (int j = i; j < i + 100; ++j) {
      events.push_back(TextEvent("a", absl::StrCat(j, " ", padding)));
    }
    publisher_->Publish(events);
  }
  for (int i = 0; i < kEvents; ++i) {
    const auto event = slow.NextOwn();
    ASSERT_TRUE(event) << i;
    ASSERT_EQ(event->data.substr(0, event->data.find(' ')), absl::StrCat(i));
  }
  EXPECT_EQ(bridge_->Metric("sse_bridge_gaps_total{reason=\"slow\"}"), 0);
}

TEST_P(StoreTest, ARestartCostsNothing) {
  Start({"drain.delay=0s", "drain.window=200ms"});
  const auto ids = PublishNumbers(500);
  for (const int signal : {SIGTERM, SIGKILL}) {
    bridge_->Restart(signal);
    SseClient client(bridge_->http_port(), "/events?topic=a", ids[99]);
    EXPECT_EQ(client.ReadOpen(), ids[99]);
    ExpectNumbers(&client, 100, 500);
  }
}

TEST_P(StoreTest, AStartingBridgeFillsItsRingFromTheStore) {
  Start();
  PublishNumbers(500);
  bridge_->Restart(SIGKILL);
  EXPECT_EQ(bridge_->Metric("sse_bridge_history_events"), 50);
  SseClient client(bridge_->http_port(), "/events?topic=a&replay=10");
  client.ReadOpen();
  ExpectNumbers(&client, 490, 500);
}

TEST_P(StoreTest, WhatTheStoreHasTrimmedIsAGapAndTheRestComes) {
  Start({store_->trim_setting()});
  const std::string padding(10'000, 'x');
  std::string first_id;
  for (int i = 0; i < 600; ++i) {
    const std::string id = publisher_->Publish(TextEvent("a", absl::StrCat(i, " ", padding))).first_id();
    first_id = first_id.empty() ? id : first_id;
  }
  SseClient client(bridge_->http_port(), "/events?topic=a", first_id);
  EXPECT_EQ(client.ReadOpen(), first_id);
  const auto gap = client.Next();
  ASSERT_TRUE(gap);
  ASSERT_EQ(gap->type, "bridge.gap");
  EXPECT_THAT(gap->data, HasSubstr("\"reason\":\"trimmed\""));
  EXPECT_THAT(gap->data, HasSubstr(absl::StrCat("\"requested\":\"", first_id, "\"")));
  // From the oldest on, more than the ring has, up to the end.
  std::vector<std::string> data;
  while (data.empty() || !absl::StartsWith(data.back(), "599 ")) {
    const auto event = client.NextOwn();
    ASSERT_TRUE(event) << data.size();
    data.push_back(event->data);
  }
  ASSERT_GT(data.size(), 50);
  EXPECT_LT(data.size(), 600);
  int expected = 600 - static_cast<int>(data.size());
  for (const std::string& text : data) {
    ASSERT_EQ(text.substr(0, text.find(' ')), absl::StrCat(expected++));
  }
  // Asked for all that there is, nothing is missing.
  SseClient all(bridge_->http_port(), "/events?topic=a&replay=all");
  all.ReadOpen();
  const auto event = all.Next();
  ASSERT_TRUE(event);
  EXPECT_EQ(event->type, "message");
}

TEST_P(StoreTest, AStormOfResumesBehindTheRingDelaysNoLiveStream) {
  constexpr int kEvents = 20'000;
  Start();
  const auto ids = PublishNumbers(kEvents);
  SseClient live(bridge_->http_port(), "/events?topic=live");
  live.ReadOpen();
  std::vector<std::unique_ptr<SseClient>> resuming;
  for (size_t i = 0; i < 100; ++i) {
    resuming.push_back(std::make_unique<SseClient>(bridge_->http_port(), "/events?topic=a", ids[i * 10]));
  }
  std::vector<absl::Duration> delays;
  for (int i = 0; i < 50; ++i) {
    const absl::Time start = absl::Now();
    publisher_->Publish(TextEvent("live", absl::StrCat(i)));
    ASSERT_TRUE(live.NextOwn());
    delays.push_back(absl::Now() - start);
  }
  std::ranges::sort(delays);
  EXPECT_LT(delays[delays.size() / 2], absl::Milliseconds(CanMeasureMemory() ? 100 : 1000));
  // They read in turns: the longer a kernel's window has been closed, the longer it may take to notice that it is open.
  constexpr int kTurn = 1000;
  for (int end = kTurn; end <= kEvents; end += kTurn) {
    for (size_t i = 0; i < resuming.size() && !HasFatalFailure(); ++i) {
      if (end == kTurn) {
        resuming[i]->ReadOpen();
      }
      ExpectNumbers(resuming[i].get(), std::max(end - kTurn, static_cast<int>(i) * 10 + 1), end);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, StoreTest, testing::ValuesIn(StoreKinds()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace bridge::test
