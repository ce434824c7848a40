// Clients that have an event stream and abuse it, or ask for too much of it.
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/hostile/attacked.h"
#include "tests/support/crowd.h"
#include "tests/support/publisher.h"
#include "tests/support/sse_client.h"

namespace bridge::test {
namespace {

using ::testing::HasSubstr;

std::string Subscribe(absl::string_view topic) {
  return absl::StrCat("GET /events?topic=", topic, " HTTP/1.1\r\nHost: localhost\r\n\r\n");
}

constexpr const char* kClosed = "sse_bridge_event_streams_closed_total{reason=\"";
std::string Closed(absl::string_view reason) { return absl::StrCat(kClosed, reason, "\"}"); }

class SlowReaders : public Attacked {
 protected:
  SlowReaders() : Attacked({"http.send_timeout=2s", "log.history.max_bytes=1MiB"}) {}
};

TEST_F(SlowReaders, ThatTakeAByteASecondOfABusyTopicAreClosedAsStalled) {
  constexpr size_t kSlow = 300;
  Crowd crowd({.port = bridge_.http_port(), .size = kSlow});
  crowd.Send(Subscribe("busy"));
  ASSERT_TRUE(bridge_.WaitForMetric("sse_bridge_event_streams", 1 + kSlow));
  Publisher publisher(bridge_.grpc_target());
  absl::Time next_read = absl::Now();
  const auto have_been_closed = [&] {
    publisher.Publish(std::vector<v1::Event>(20, TextEvent("busy", std::string(1000, 'x'))));
    if (absl::Now() >= next_read) {
      crowd.Receive(1);
      next_read += absl::Seconds(1);
    }
    return bridge_.Metric(Closed("stalled")) == kSlow;
  };
  EXPECT_TRUE(Eventually(have_been_closed, absl::Seconds(30))) << bridge_.Metric(Closed("stalled"));
  if (CanMeasureMemory()) {  // a sanitizer's allocator takes more
    EXPECT_LT(bystander_.PeakGrowthBytes(), uint64_t{20} << 20);
  }
}

class OpenStreams : public Attacked {
 protected:
  // Whether the bridge uses more than half a core: more than the bystander is worth.
  bool IsBusyFor(absl::Duration time) const {
    const absl::Duration before = bridge_.CpuTime();
    return Eventually([&] { return bridge_.CpuTime() - before > time / 2; }, time);
  }
};

TEST_F(OpenStreams, DropWhatTheyAreSentUpToABound) {
  Publisher publisher(bridge_.grpc_target());
  SseClient client(bridge_.http_port(), "/events?topic=a");
  client.ReadOpen();
  EXPECT_TRUE(client.connection().Send("GET / HTTP/1.1\r\n\r\n"));
  publisher.Publish(TextEvent("a", "still there"));
  EXPECT_EQ(client.NextData(1), std::vector<std::string>{"still there"});
  EXPECT_FALSE(IsBusyFor(absl::Seconds(1)));  // a byte that nobody reads would keep a level-triggered loop busy
  client.connection().Send(std::string(8192, 'x'));
  EXPECT_TRUE(client.WaitForEnd());
  EXPECT_TRUE(bridge_.WaitForMetric(Closed("flood"), 1));
}

TEST_F(OpenStreams, AreClosedByTheThousandWhereTheyAreFlooded) {
  constexpr size_t kFlooding = 1000;
  Crowd crowd({.port = bridge_.http_port(), .size = kFlooding});
  crowd.Send(Subscribe("a"));
  ASSERT_TRUE(bridge_.WaitForMetric("sse_bridge_event_streams", 1 + kFlooding));
  const auto have_been_closed = [&] {
    crowd.Send(std::string(500, 'x'));
    return bridge_.Metric(Closed("flood")) == kFlooding;
  };
  EXPECT_TRUE(Eventually(have_been_closed)) << bridge_.Metric(Closed("flood"));
  crowd.Receive(SIZE_MAX);
  EXPECT_EQ(crowd.CountAnswered("HTTP/1.1 200 "), kFlooding);
}

TEST_F(OpenStreams, ComeAndGoByTheThousand) {
  constexpr size_t kStreams = 1000;
  for (size_t round = 1; round <= 5; ++round) {
    Crowd crowd({.port = bridge_.http_port(), .size = kStreams});
    crowd.Send(Subscribe("*.a.>"));
    EXPECT_TRUE(
        bridge_.WaitForMetric("sse_bridge_event_streams_opened_total", static_cast<double>(1 + kStreams * round)));
  }
  EXPECT_TRUE(bridge_.WaitForMetric(Closed("client_closed"), 5 * kStreams));
}

// A pattern of 16 tokens, each the topic's own or a wildcard, by the bits of `number`.
std::string PatternOf(size_t number) {
  std::string pattern;
  for (size_t bit = 0; bit < 16; ++bit) {
    absl::StrAppend(&pattern, bit == 0 ? "" : ".", (number >> bit) % 2 == 0 ? "*" : "aaaaaaaaaaaaaaa");
  }
  return pattern;
}

std::string TopicOfPatterns() { return PatternOf(0xffff); }

// Asks for a hundred different patterns, the most that are allowed; all of them match TopicOfPatterns().
std::string Bomb(size_t index) {
  std::string body = "{\"topics\":[";
  for (size_t i = 0; i < 100; ++i) {
    absl::StrAppend(&body, i == 0 ? "" : ",", "\"", PatternOf(100 * index + i), "\"");
  }
  body += "]}";
  return absl::StrCat("POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ",
                      body.size(), "\r\n\r\n", body);
}

TEST_F(OpenStreams, MatchTheMostAndTheLongestPatternsInTime) {
  constexpr size_t kBombs = 200;
  std::vector<std::unique_ptr<RawConnection>> bombs;
  for (size_t i = 0; i < kBombs; ++i) {
    bombs.push_back(std::make_unique<RawConnection>(bridge_.http_port()));
    bombs.back()->Send(Bomb(i));
  }
  ASSERT_TRUE(bridge_.WaitForMetric("sse_bridge_event_streams", 1 + kBombs));
  Publisher publisher(bridge_.grpc_target());
  constexpr int kEvents = 50;
  const double before = bridge_.Metric("sse_bridge_deliveries_total");
  for (int i = 0; i < kEvents; ++i) {
    publisher.Publish(TextEvent(TopicOfPatterns(), "x"));
  }
  // Each once, and not once for each pattern.
  EXPECT_TRUE(Eventually([&] { return bridge_.Metric("sse_bridge_deliveries_total") >= before + kBombs * kEvents; }));
  for (const auto& bomb : bombs) {
    std::string all;
    for (std::string more = bomb->Receive(); !more.empty(); more = bomb->Receive(absl::ZeroDuration())) {
      all += more;
    }
    EXPECT_EQ(Count("data: x", all), kEvents);
  }
  if (CanMeasureMemory()) {
    EXPECT_LT(bystander_.PeakGrowthBytes() / kBombs, uint64_t{500} << 10);
  }
}

TEST_F(OpenStreams, AreRefusedWherePatternsAreTooManyTooLongOrWrong) {
  std::string many = "/events?topic=a";
  for (int i = 0; i < 100; ++i) {
    absl::StrAppend(&many, "&topic=a", i);
  }
  for (const std::string& target :
       {many, absl::StrCat("/events?topic=", std::string(256, 'a')), std::string("/events?topic=>.a"),
        std::string("/events?topic=a.>.b"), std::string("/events?topic=a.>>"), std::string("/events?topic=a.**"),
        std::string("/events?topic=a*"), absl::StrCat("/events?topic=", std::string(7000, '*')),
        absl::StrCat("/events?topic=*", std::string(200, '.')),
        std::string("/events?topic=*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*")}) {
    const HttpResponse response = Fetch(bridge_.http_port(), "GET", target);
    EXPECT_EQ(response.status, 400) << target;
    EXPECT_THAT(response.body, HasSubstr("\"parameter\":\"topic\"")) << target;
    EXPECT_LT(response.body.size(), 1000U) << target;
  }
}

TEST_F(OpenStreams, GoOnWhereThereAreNoDescriptorsLeft) {
  if (!CanMeasureMemory()) {
    GTEST_SKIP() << "a sanitizer needs descriptors itself: it looks at memory through a pipe";
  }
  SseClient client(bridge_.http_port(), "/events?topic=a");
  client.ReadOpen();
  Publisher publisher(bridge_.grpc_target());
  publisher.Publish(TextEvent("a", "1"));
  constexpr size_t kSpare = 5;
  bridge_.LimitOpenFiles((bridge_.OpenFiles() + kSpare) * 4 / 3);  // a quarter is left to others
  // Event streams do not give way.
  std::vector<std::unique_ptr<RawConnection>> connections;
  for (size_t i = 0; i < 4 * kSpare; ++i) {
    connections.push_back(std::make_unique<RawConnection>(bridge_.http_port()));
    connections.back()->Send(Subscribe("a"));
  }
  ASSERT_TRUE(Eventually([&] { return absl::StrContains(bridge_.Log(), "accept_paused"); }));
  publisher.Publish(TextEvent("a", "2"));
  EXPECT_EQ(client.NextData(2), (std::vector<std::string>{"1", "2"}));
  // It waits for descriptors without work, and serves as soon as there are some.
  EXPECT_FALSE(IsBusyFor(absl::Seconds(1)));
  connections.clear();
  EXPECT_EQ(Fetch(bridge_.http_port(), "GET", "/nothing").status, 404);
}

}  // namespace
}  // namespace bridge::test
