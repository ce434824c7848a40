// Connections that do nothing but hold the descriptors that the process may have.
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/hostile/attacked.h"
#include "tests/support/crowd.h"
#include "tests/support/publisher.h"
#include "tests/support/sse_client.h"
#include "tests/support/tls_fixture.h"

namespace bridge::test {
namespace {

using ::testing::HasSubstr;

// So few that a small crowd takes all that connections may have.
constexpr size_t kOpenFilesMax = 400;
constexpr size_t kCrowd = 600;
// Somebody else gets an answer within a second; but a sanitizer makes the bridge slower.
const absl::Duration kSoon = CanMeasureMemory() ? absl::Seconds(1) : absl::Seconds(4);

constexpr const char* kGaveWay = "sse_bridge_http_connections_gave_way_total";

class Descriptors : public Attacked {
 protected:
  // Nothing is closed for its age.
  explicit Descriptors(std::vector<std::string> settings = {"http.head_timeout=5m", "http.idle_timeout=5m"})
      : Attacked(std::move(settings)) {
    bridge_.LimitOpenFiles(kOpenFilesMax);
  }

  Crowd::Options CrowdOf(size_t size) const { return {.port = bridge_.http_port(), .size = size}; }

  // Waits until the bridge has had no descriptors left.
  void ExpectFull() const {
    EXPECT_TRUE(Eventually([&] { return bridge_.Metric(kGaveWay) > 0; }));
  }

  void ExpectAnswersSoon(int requests) const {
    for (int i = 0; i < requests; ++i) {
      const absl::Time start = absl::Now();
      EXPECT_EQ(Fetch(bridge_.http_port(), "GET", "/nothing").status, 404);
      EXPECT_LT(absl::Now() - start, kSoon);
    }
  }
};

TEST_F(Descriptors, OfIdleConnectionsGoToOthers) {
  const Crowd crowd(CrowdOf(kCrowd));
  ExpectFull();
  ExpectAnswersSoon(20);
  EXPECT_THAT(bridge_.Log(), HasSubstr("connections_gave_way"));
}

TEST_F(Descriptors, OfConnectionsThatAreKeptAliveGoToOthers) {
  constexpr size_t kKept = 250;  // for which there is room
  Crowd crowd(CrowdOf(kKept));
  crowd.Send("GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n");
  ASSERT_TRUE(Eventually([&] {
    crowd.Receive(SIZE_MAX);
    return crowd.CountAnswered("HTTP/1.1 404 ") == kKept;
  }));
  const Crowd more(CrowdOf(kCrowd));
  ExpectFull();
  ExpectAnswersSoon(20);
  crowd.Receive(SIZE_MAX);
  EXPECT_GT(crowd.ended(), 0U);
}

TEST_F(Descriptors, OfHeadsThatDoNotGoOnGoToOthers) {
  Crowd crowd(CrowdOf(kCrowd));
  crowd.Send("GET /events?topic=a HTTP/1.1\r\nHost: localhost\r\nX: ");
  ExpectFull();
  ExpectAnswersSoon(20);
}

TEST_F(Descriptors, OfConnectionsThatAreOpenedAgainAndAgainGoToOthers) {
  std::atomic<bool> is_over = false;
  std::thread attacker([&] {
    std::unique_ptr<Crowd> last;
    while (!is_over) {
      auto next = std::make_unique<Crowd>(CrowdOf(kCrowd));
      last = std::move(next);  // there is always a crowd
    }
  });
  ExpectFull();
  ExpectAnswersSoon(20);
  is_over = true;
  attacker.join();
}

TEST_F(Descriptors, OfEventStreamsStayTheirs) {
  constexpr size_t kStreams = 150;
  std::vector<std::unique_ptr<SseClient>> streams;
  for (size_t i = 0; i < kStreams; ++i) {
    streams.push_back(std::make_unique<SseClient>(bridge_.http_port(), "/events?topic=a"));
    streams.back()->ReadOpen();
  }
  const Crowd crowd(CrowdOf(kCrowd));
  ExpectFull();
  ExpectAnswersSoon(20);
  Publisher(bridge_.grpc_target()).Publish(TextEvent("a", "to all"));
  for (const auto& stream : streams) {
    EXPECT_EQ(stream->NextData(1), std::vector<std::string>{"to all"});
  }
}

TEST_F(Descriptors, AreLeftToPublishersAndTheAdminPort) {
  const Crowd crowd(CrowdOf(kCrowd));
  ExpectFull();
  for (int i = 0; i < 20; ++i) {
    Publisher publisher(bridge_.grpc_target(), Publisher::Channel::kOwn);
    v1::PublishRequest request;
    *request.add_events() = TextEvent("a", "x");
    v1::Ack ack;
    EXPECT_TRUE(publisher.TryPublish(request, &ack).ok());
    EXPECT_EQ(Fetch(bridge_.admin_port(), "GET", "/livez").status, 200);
  }
  EXPECT_LT(bridge_.OpenFiles(), kOpenFilesMax);
}

TEST(DescriptorsOfSeveralLoops, GoToOthersWhicheverLoopHasThem) {
  const BridgeProcess bridge({"http.head_timeout=5m", "http.idle_timeout=5m", "http.event_loops=3"});
  bridge.LimitOpenFiles(kOpenFilesMax);
  const Crowd crowd({.port = bridge.http_port(), .size = kCrowd});
  ASSERT_TRUE(Eventually([&] { return bridge.Metric(kGaveWay) > 0; }));
  for (int i = 0; i < 20; ++i) {
    const absl::Time start = absl::Now();
    EXPECT_EQ(Fetch(bridge.http_port(), "GET", "/nothing").status, 404);
    EXPECT_LT(absl::Now() - start, kSoon);
  }
}

class DescriptorsOfHandshakes : public TlsTest {
 protected:
  void ExpectAnswersSoonBeside(absl::string_view first_bytes) const {
    const BridgeProcess bridge(Settings({"http.head_timeout=5m", "http.idle_timeout=5m"}));
    bridge.LimitOpenFiles(kOpenFilesMax);
    Crowd crowd({.port = bridge.http_port(), .size = kCrowd});
    crowd.Send(first_bytes);
    ASSERT_TRUE(
        Eventually([&] { return bridge.Metric("sse_bridge_http_tls_handshakes_total{result=\"gave_way\"}") > 0; }));
    for (int i = 0; i < 20; ++i) {
      const absl::Time start = absl::Now();
      EXPECT_EQ(Fetch(bridge.http_port(), "GET", "/nothing", "", "", &client_).status, 404);
      EXPECT_LT(absl::Now() - start, kSoon);
    }
  }
};

TEST_F(DescriptorsOfHandshakes, ThatDoNotBeginGoToOthers) { ExpectAnswersSoonBeside(""); }

TEST_F(DescriptorsOfHandshakes, ThatDoNotGoOnGoToOthers) {
  ExpectAnswersSoonBeside(absl::string_view("\x16\x03\x01\x01\xf4\x01\x00\x01\xf0\x03\x03", 11));
}

}  // namespace
}  // namespace bridge::test
