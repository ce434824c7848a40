// What one client may take: event streams, connects, and replays.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/bridge_process.h"
#include "tests/support/publisher.h"
#include "tests/support/raw_http.h"
#include "tests/support/sse_client.h"

namespace bridge::test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr const char* kTarget = "/events?topic=a";

std::string ForwardedFor(const std::string& address) { return absl::StrCat("X-Forwarded-For: ", address, "\r\n"); }

// Opens event streams and keeps them.
class Clients {
 public:
  explicit Clients(const BridgeProcess* bridge) : bridge_(bridge) {}

  // "" where the stream is open, else why it was closed.
  std::string Open(const std::string& headers = "") {
    clients_.push_back(
        std::make_unique<SseClient>(bridge_->http_port(), SseClient::Options{.target = kTarget, .headers = headers}));
    const auto first = clients_.back()->Next();
    if (!first.has_value() || first->type == "bridge.open") {
      return first.has_value() ? "" : "nothing came";
    }
    EXPECT_EQ(first->type, "bridge.closing");
    EXPECT_TRUE(clients_.back()->WaitForEnd());
    return first->data;
  }
  void CloseOne() { clients_.erase(clients_.begin()); }

 private:
  const BridgeProcess* const bridge_;
  std::vector<std::unique_ptr<SseClient>> clients_;
};

TEST(Limits, AnAddressBehindATrustedProxyHasItsShare) {
  const BridgeProcess bridge({"limits.streams_per_address=2", "http.trusted_proxies=[127.0.0.0/8]"});
  Clients clients(&bridge);
  EXPECT_EQ(clients.Open(ForwardedFor("198.51.100.7")), "");
  EXPECT_EQ(clients.Open(ForwardedFor("198.51.100.7")), "");
  EXPECT_EQ(clients.Open(ForwardedFor("198.51.100.7")), R"({"reason":"address_full"})");
  EXPECT_EQ(clients.Open(ForwardedFor("203.0.113.9, 198.51.100.7")), R"({"reason":"address_full"})");
  EXPECT_EQ(clients.Open(ForwardedFor("198.51.100.8")), "");
  EXPECT_EQ(bridge.Metric("sse_bridge_event_streams_refused_total{reason=\"address_full\"}"), 2);
  EXPECT_EQ(bridge.Metric("sse_bridge_event_streams"), 3);

  const HttpResponse post =
      Fetch(bridge.http_port(), "POST", "/events",
            absl::StrCat(ForwardedFor("198.51.100.7"), "Content-Type: application/json\r\n"), R"({"topics":["a"]})");
  EXPECT_EQ(post.status, 429);
  EXPECT_THAT(post.Header("Retry-After"), Not(IsEmpty()));
  EXPECT_THAT(post.body, HasSubstr("limits.streams_per_address"));
  EXPECT_THAT(bridge.Log(), HasSubstr("limit_reached limit=limits.streams_per_address address=198.51.100.7"));

  clients.CloseOne();
  ASSERT_TRUE(bridge.WaitForMetric("sse_bridge_event_streams", 2));
  EXPECT_EQ(clients.Open(ForwardedFor("198.51.100.7")), "");
}

TEST(Limits, WhatAClientSaysOfItsAddressMeansNothingWithoutAProxy) {
  const BridgeProcess bridge({"limits.streams_per_address=1"});
  Clients clients(&bridge);
  // Loopback is exempt, whatever it says.
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(clients.Open(ForwardedFor("198.51.100.7")), "");
  }
  EXPECT_THAT(bridge.Log(), HasSubstr("proxy_not_trusted address=127.0.0.1"));
}

TEST(Limits, ForwardedIsReadWhereItIsTheHeader) {
  const BridgeProcess bridge(
      {"limits.streams_per_address=1", "http.trusted_proxies=[127.0.0.1, '::1']", "http.forwarded_header=forwarded"});
  Clients clients(&bridge);
  EXPECT_EQ(clients.Open("Forwarded: for=\"[2001:db8::1]:47\";proto=https\r\n"), "");
  EXPECT_EQ(clients.Open("Forwarded: for=\"[2001:db8::2]\"\r\n"), R"({"reason":"address_full"})");
  EXPECT_EQ(clients.Open(absl::StrCat("Forwarded: for=\"[2001:db8:0:1::2]\"\r\n", ForwardedFor("2001:db8::1"))), "");
}

TEST(Limits, AnAddressConnectsNoFasterThanItMay) {
  const BridgeProcess bridge({"limits.connects_per_second=5", "http.trusted_proxies=[127.0.0.1]"});
  Clients clients(&bridge);
  int refused = 0;
  for (int i = 0; i < 30 && refused == 0; ++i) {
    const std::string reason = clients.Open(ForwardedFor("198.51.100.7"));
    if (!reason.empty()) {
      EXPECT_EQ(reason, R"({"reason":"too_fast"})");
      ++refused;
    }
  }
  EXPECT_EQ(refused, 1);
  EXPECT_EQ(clients.Open(ForwardedFor("198.51.100.8")), "");
  EXPECT_TRUE(Eventually([&] { return clients.Open(ForwardedFor("198.51.100.7")).empty(); }));
}

TEST(Limits, PatternsOfAllStreamsTakeSoMuchMemoryTogether) {
  const BridgeProcess bridge({"limits.pattern_bytes=1MiB", "http.event_loops=1", "http.heartbeat=1s"});
  const auto target = [](size_t number) {
    std::string text = "/events?topic=a";
    for (int i = 1; i < 100; ++i) {
      absl::StrAppend(&text, "&topic=", number, ".", i, ".*");
    }
    return text;
  };
  std::vector<std::unique_ptr<SseClient>> clients;
  std::optional<SseEvent> first;
  do {
    clients.push_back(std::make_unique<SseClient>(bridge.http_port(), target(clients.size())));
    first = clients.back()->Next();
  } while (first.has_value() && first->type == "bridge.open" && clients.size() < 100);
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->type, "bridge.closing");
  EXPECT_EQ(first->data, R"({"reason":"overloaded"})");
  const size_t open = clients.size() - 1;
  EXPECT_GT(open, 10U);
  EXPECT_GE(bridge.Metric("sse_bridge_pattern_bytes"), 1 << 20);
  EXPECT_EQ(bridge.Metric("sse_bridge_event_streams_refused_total{reason=\"overloaded\"}"), 1);
  EXPECT_THAT(bridge.Log(), HasSubstr("limit_reached limit=limits.pattern_bytes"));
  const HttpResponse post =
      Fetch(bridge.http_port(), "POST", "/events", "Content-Type: application/json\r\n", R"({"topics":["b"]})");
  EXPECT_EQ(post.status, 503);
  EXPECT_THAT(post.body, HasSubstr("limits.pattern_bytes"));

  // What somebody asks for already takes no more.
  SseClient(bridge.http_port(), target(0)).ReadOpen();
  clients.clear();
  ASSERT_TRUE(bridge.WaitForMetric("sse_bridge_event_streams", 0));
  EXPECT_EQ(bridge.Metric("sse_bridge_pattern_bytes"), 0);
  SseClient(bridge.http_port(), target(open)).ReadOpen();
}

class Replays : public testing::Test {
 protected:
  Replays() {
    for (int i = 0; i < 10; ++i) {
      std::vector<v1::Event> events;
      for (int j = 0; j < 100; ++j) {
        events.push_back(TextEvent("a", absl::StrCat(i * 100 + j)));
      }
      const v1::Ack ack = publisher_.Publish(events);
      if (i == 0) {
        first_id_ = ack.first_id();
      }
      last_id_ = ack.last_id();
    }
  }

  BridgeProcess bridge_{
      {"limits.replay_events_per_second=300", "http.heartbeat=100ms", "http.event_loops=1", "drain.window=3s"}};
  Publisher publisher_{bridge_.grpc_target()};
  std::string first_id_;
  std::string last_id_;
};

TEST_F(Replays, OfAResumeArePacedAndNeverCut) {
  SseClient live(bridge_.http_port(), kTarget);
  live.ReadOpen();
  const absl::Time start = absl::Now();
  SseClient client(bridge_.http_port(), kTarget, first_id_);
  client.ReadOpen();
  std::vector<std::string> got = client.NextData(500);
  ASSERT_EQ(got.size(), 500);
  // What is published meanwhile reaches others at once, and this one in its turn.
  publisher_.Publish(TextEvent("a", "new"));
  EXPECT_EQ(live.NextData(1, absl::Seconds(2)), std::vector<std::string>{"new"});
  for (std::string& data : client.NextData(500)) {
    got.push_back(std::move(data));
  }
  ASSERT_EQ(got.size(), 1000);
  for (int i = 0; i < 999; ++i) {
    EXPECT_EQ(got[static_cast<size_t>(i)], absl::StrCat(i + 1));
  }
  EXPECT_EQ(got.back(), "new");
  // 300 at once and some more of the last flush, and then 300 a second.
  EXPECT_GT(absl::Now() - start, absl::Milliseconds(1500));
  // From now on it is live.
  publisher_.Publish(TextEvent("a", "live"));
  EXPECT_EQ(client.NextData(1, absl::Seconds(2)), std::vector<std::string>{"live"});
}

TEST_F(Replays, OfAFirstConnectAreCutAndSaySo) {
  SseClient client(bridge_.http_port(), "/events?topic=a&replay=all");
  client.ReadOpen();
  std::optional<SseEvent> event = client.Next();
  int count = 0;
  for (; event.has_value() && event->type != "bridge.gap"; event = client.Next()) {
    if (event->type == "message") {
      EXPECT_EQ(event->data, absl::StrCat(count++));
    }
  }
  EXPECT_GE(count, 300);
  EXPECT_LT(count, 300 + 128 + 1);
  ASSERT_TRUE(event.has_value());
  EXPECT_THAT(event->data, HasSubstr(R"("reason":"replay_limit")"));
  EXPECT_EQ(event->id, last_id_);
  publisher_.Publish(TextEvent("a", "live"));
  EXPECT_EQ(client.NextData(1, absl::Seconds(2)), std::vector<std::string>{"live"});
  EXPECT_EQ(bridge_.Metric("sse_bridge_gaps_total{reason=\"replay_limit\"}"), 1);
}

TEST_F(Replays, OfTheLastEventsAreTheNewestOfThem) {
  SseClient client(bridge_.http_port(), "/events?topic=a&replay=900");
  client.ReadOpen();
  const auto gap = client.Next();
  ASSERT_TRUE(gap.has_value());
  EXPECT_EQ(gap->type, "bridge.gap");
  const std::vector<std::string> got = client.NextData(300);
  ASSERT_EQ(got.size(), 300);
  EXPECT_EQ(got.front(), "700");
  EXPECT_EQ(got.back(), "999");
  publisher_.Publish(TextEvent("a", "live"));
  EXPECT_EQ(client.NextData(1, absl::Seconds(2)), std::vector<std::string>{"live"});

  SseClient few(bridge_.http_port(), "/events?topic=a&replay=3");
  few.ReadOpen();
  EXPECT_EQ(few.Next()->data, "998");
}

TEST(HeldBackReplay, ThatHistoryPassesByTwiceIsToldSoAndGoesOn) {
  constexpr int kHistory = 500;
  const BridgeProcess bridge({"limits.replay_bytes_per_second=40000", absl::StrCat("log.history.max_events=", kHistory),
                              "http.event_loops=1"});
  Publisher publisher(bridge.grpc_target());
  int published = 0;
  const auto publish = [&](int count, const std::string& padding) {
    std::vector<v1::Event> events;
    for (int i = 0; i < count; ++i) {
      events.push_back(TextEvent("a", absl::StrCat(published++, padding)));
    }
    return publisher.Publish(events).first_id();
  };
  const std::string first_id = publish(kHistory, std::string(1000, ' '));
  SseClient client(bridge.http_port(), kTarget, first_id);
  client.ReadOpen();
  // A write of 128 KiB is more than a second may have: it is held back for two.
  ASSERT_EQ(client.NextData(100).size(), 100);
  for (int round = 1; round <= 2; ++round) {
    publish(180, "");  // past where it is, and not past what it came for
    ASSERT_TRUE(bridge.WaitForMetric("sse_bridge_gaps_total{reason=\"slow\"}", round));
  }
  std::vector<int> numbers;
  for (auto event = client.Next(); event.has_value(); event = client.Next()) {
    if (event->type == "message") {
      numbers.push_back(std::stoi(event->data));
    }
    if (!numbers.empty() && numbers.back() == published - 1) {
      break;
    }
  }
  ASSERT_GE(numbers.size(), kHistory);
  EXPECT_TRUE(std::ranges::is_sorted(numbers));
  EXPECT_EQ(numbers[numbers.size() - kHistory], published - kHistory) << "all that history holds";
}

TEST_F(Replays, ThatAreHeldBackEndWithTheBridge) {
  SseClient client(bridge_.http_port(), kTarget, first_id_);
  client.ReadOpen();
  ASSERT_EQ(client.NextData(10).size(), 10);
  bridge_.Signal(SIGINT);
  std::optional<SseEvent> last;
  for (auto event = client.Next(); event.has_value(); event = client.Next()) {
    last = event;
  }
  ASSERT_TRUE(last.has_value());
  EXPECT_EQ(last->type, "bridge.closing");
  EXPECT_EQ(bridge_.WaitForExit(absl::Seconds(30)), 0);
}

}  // namespace
}  // namespace bridge::test
