#include <algorithm>
#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/bridge_process.h"
#include "tests/support/publisher.h"
#include "tests/support/sse_client.h"

namespace bridge::test {
namespace {

using ::testing::HasSubstr;

constexpr size_t kKilobyte = 1024;

// A client that reads nothing of what it is sent, beyond what the kernel takes.
SseClient::Options StalledOn(const std::string& topic) {
  return {.target = absl::StrCat("/events?topic=", topic), .receive_buffer_bytes = 4096};
}

void PublishKilobytes(Publisher* publisher, const std::string& topic, int count) {
  for (int i = 0; i < count; i += 100) {
    publisher->Publish(std::vector<v1::Event>(100, TextEvent(topic, std::string(kKilobyte, 'x'))));
  }
}

TEST(SlowClients, GetAGapWhenHistoryPassesThemAndGoOn) {
  const BridgeProcess bridge({"log.history.max_events=50"});
  Publisher publisher(bridge.grpc_target());
  SseClient slow(bridge.http_port(), StalledOn("a"));
  ASSERT_TRUE(bridge.WaitForMetric("sse_bridge_event_streams", 1));
  PublishKilobytes(&publisher, "a", 2000);
  const std::string last_id = publisher.Publish(TextEvent("a", "last")).first_id();

  std::string previous = slow.ReadOpen();
  bool has_gap = false;
  std::string seen;
  while (seen != "last") {
    const auto event = slow.Next();
    ASSERT_TRUE(event);
    if (event->type == "bridge.gap") {
      has_gap = true;
      EXPECT_THAT(event->data, HasSubstr("\"reason\":\"slow\""));
      EXPECT_THAT(event->data, HasSubstr(absl::StrCat("\"requested\":\"", previous, "\"")));
    }
    previous = event->id;
    seen = event->data;
  }
  EXPECT_TRUE(has_gap);
  EXPECT_EQ(previous, last_id);
}

TEST(SlowClients, AreToldAndDisconnectedWherePolicySaysSo) {
  const BridgeProcess bridge({"log.history.max_events=50", "http.slow_client=disconnect"});
  Publisher publisher(bridge.grpc_target());
  SseClient slow(bridge.http_port(), StalledOn("a"));
  ASSERT_TRUE(bridge.WaitForMetric("sse_bridge_event_streams", 1));
  PublishKilobytes(&publisher, "a", 2000);
  std::optional<SseEvent> event;
  do {
    event = slow.Next();
    ASSERT_TRUE(event);
  } while (event->type != "bridge.closing");
  EXPECT_THAT(event->data, HasSubstr("\"reason\":\"slow\""));
  EXPECT_TRUE(slow.WaitForEnd());
  EXPECT_TRUE(slow.has_ended_cleanly());
}

TEST(SlowClients, AreClosedWhenTheyTakeNothingForTheSendTimeout) {
  const BridgeProcess bridge({"http.send_timeout=1s"});
  Publisher publisher(bridge.grpc_target());
  const SseClient stalled(bridge.http_port(), StalledOn("a"));
  SseClient idle(bridge.http_port(), "/events?topic=b");
  idle.ReadOpen();
  ASSERT_TRUE(bridge.WaitForMetric("sse_bridge_event_streams", 2));
  PublishKilobytes(&publisher, "a", 1000);
  EXPECT_TRUE(bridge.WaitForMetric("sse_bridge_event_streams_closed_total{reason=\"stalled\"}", 1, absl::Seconds(5)));
  EXPECT_EQ(bridge.Metric("sse_bridge_event_streams"), 1);  // the idle one is not stalled
}

TEST(SlowClients, DoNotDelayOthersAndCostNoMemory) {
  const BridgeProcess bridge({"log.history.max_events=1000", "http.event_loops=1"});
  Publisher publisher(bridge.grpc_target());
  SseClient quick(bridge.http_port(), "/events?topic=a");
  quick.ReadOpen();
  std::vector<std::unique_ptr<SseClient>> slow;
  for (int i = 0; i < 200; ++i) {
    slow.push_back(std::make_unique<SseClient>(bridge.http_port(), StalledOn("a")));
  }
  EXPECT_TRUE(bridge.WaitForMetric("sse_bridge_event_streams", 201));
  PublishKilobytes(&publisher, "a", 1000);
  quick.NextData(1000);
  const uint64_t before = bridge.ResidentBytes();
  absl::Duration worst;
  for (int i = 0; i < 5000; i += 100) {
    const absl::Time start = absl::Now();
    PublishKilobytes(&publisher, "a", 100);
    ASSERT_EQ(quick.NextData(100).size(), 100U);
    worst = std::max(worst, absl::Now() - start);
  }
  // 5 MB have gone by 200 stalled streams.
  if (CanMeasureMemory()) {
    EXPECT_LT(bridge.ResidentBytes(), before + (uint64_t{8} << 20));
  }
  EXPECT_LT(worst, absl::Milliseconds(500));
  EXPECT_GT(bridge.Metric("sse_bridge_pinned_bytes"), 0);
}

TEST(SlowClients, TheSlowestAreClosedWhenTooMuchIsPinned) {
  const BridgeProcess bridge({"http.max_pinned_bytes=1MiB", "http.event_loops=1", "log.history.max_bytes=1MiB"});
  Publisher publisher(bridge.grpc_target());
  std::vector<std::unique_ptr<SseClient>> slow;
  // Each is stuck in another large frame.
  for (int i = 0; i < 10; ++i) {
    slow.push_back(std::make_unique<SseClient>(bridge.http_port(), StalledOn(absl::StrCat("t", i))));
    slow.back()->Head();
    publisher.Publish(TextEvent(absl::StrCat("t", i), std::string(500 * kKilobyte, 'x')));
  }
  EXPECT_TRUE(
      Eventually([&] { return bridge.Metric("sse_bridge_event_streams_closed_total{reason=\"pinned\"}") >= 7; }));
  EXPECT_LE(bridge.Metric("sse_bridge_pinned_bytes"), 1 << 20);
}

TEST(SlowClients, OneThatReadsALittleAtATimeGetsEverythingInOrder) {
  const BridgeProcess bridge;
  Publisher publisher(bridge.grpc_target());
  SseClient slow(bridge.http_port(), StalledOn("a"));
  ASSERT_TRUE(bridge.WaitForMetric("sse_bridge_event_streams", 1));
  std::vector<v1::Event> events;
  for (int i = 0; i < 1000; ++i) {
    events.push_back(TextEvent("a", absl::StrCat(i, " ", std::string(kKilobyte, 'x'))));
  }
  publisher.Publish(events);
  slow.ReadOpen();
  for (int i = 0; i < 1000; ++i) {
    const auto event = slow.Next();
    ASSERT_TRUE(event);
    ASSERT_EQ(event->data, events[static_cast<size_t>(i)].text());
  }
}

}  // namespace
}  // namespace bridge::test
