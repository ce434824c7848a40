#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/bridge_process.h"
#include "tests/support/publisher.h"
#include "tests/support/raw_http.h"

namespace bridge::test {
namespace {

// A bridge that would give its publishers 5 s to finish.
class DrainOfPublishers : public ::testing::Test {
 protected:
  absl::Duration TimeToEnd() {
    const absl::Time start = absl::Now();
    bridge_.Signal(SIGTERM);
    EXPECT_EQ(bridge_.WaitForExit(absl::Seconds(30)), 0);
    return absl::Now() - start;
  }

  static constexpr absl::Duration kSoon = absl::Seconds(3);
  BridgeProcess bridge_{{"drain.delay=0s", "drain.window=20s"}};
};

TEST_F(DrainOfPublishers, WaitsForNoConnectionThatHasNoStream) {
  Publisher idle(bridge_.grpc_target(), Publisher::Channel::kOwn);
  idle.Publish(TextEvent("a", "x"));
  const RawConnection silent(bridge_.grpc_port());
  RawConnection half_open(bridge_.grpc_port());
  half_open.Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  EXPECT_LT(TimeToEnd(), kSoon);
}

TEST_F(DrainOfPublishers, IsOverWhenTheLastHasFinished) {
  Publisher publisher(bridge_.grpc_target(), Publisher::Channel::kOwn);
  PublishCall call(&publisher);
  ASSERT_TRUE(call.Send("first", {TextEvent("a", "x")}));
  ASSERT_TRUE(call.NextAck());
  std::thread finisher([&] {
    EXPECT_FALSE(call.NextAck());  // until it is half-closed
  });
  std::thread half_closer([&] {
    EXPECT_TRUE(Eventually([&] { return call.is_draining(); }));
    call.HalfClose();
  });
  EXPECT_LT(TimeToEnd(), kSoon);
  half_closer.join();
  finisher.join();
  EXPECT_TRUE(call.Finish().ok());
}

// Publishes until the bridge reads no more, and never reads an ack. Each has a rejection for each of 1000 events.
class DeafPublisher {
 public:
  explicit DeafPublisher(const std::string& target)
      : publisher_(target, Publisher::Channel::kOwn), call_(&publisher_), writer_([this] { Write(); }) {}
  ~DeafPublisher() {
    call_.Cancel();
    writer_.join();
  }

 private:
  void Write() {
    v1::PublishRequest request;
    for (int i = 0; i < 1000; ++i) {
      request.add_events();
    }
    while (call_.Send(request)) {
    }
  }

  Publisher publisher_;
  PublishCall call_;
  std::thread writer_;
};

TEST(DeafPublishers, AreEndedAfterTheSendTimeout) {
  const BridgeProcess bridge({"grpc.send_timeout=1s"});
  const DeafPublisher deaf(bridge.grpc_target());
  EXPECT_TRUE(bridge.WaitForMetric("sse_bridge_publishers_timed_out_total", 1));
  EXPECT_TRUE(bridge.WaitForMetric("sse_bridge_publishers", 0));
  EXPECT_TRUE(bridge.WaitForMetric("sse_bridge_publish_ack_bytes", 0));
}

TEST(DeafPublishers, DoNotKeepOthersFromPublishing) {
  const BridgeProcess bridge(
      {"grpc.max_request_bytes=256KiB", "grpc.max_bytes_in_flight=1MiB", "grpc.max_bytes_in_flight_total=1MiB"});
  std::vector<std::unique_ptr<DeafPublisher>> deaf;
  for (int i = 0; i < 8; ++i) {
    deaf.push_back(std::make_unique<DeafPublisher>(bridge.grpc_target()));
  }
  // All that acks may take in all.
  EXPECT_TRUE(Eventually([&] { return bridge.Metric("sse_bridge_publish_ack_bytes") > 256 * 1024; }));

  Publisher publisher(bridge.grpc_target(), Publisher::Channel::kOwn);
  PublishCall call(&publisher);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(call.Send(absl::StrCat(i), {TextEvent("a", std::string(1000, 'x'))}));
    ASSERT_TRUE(call.NextAck());
  }
  EXPECT_TRUE(publisher.Publish(TextEvent("a", "once")).rejected().empty());
  // One with an ack of its own that nobody reads causes no more of them, so there is no more than one too many of each.
  EXPECT_LT(bridge.Metric("sse_bridge_publish_ack_bytes"), 8 * 1024 * 1024);
}

}  // namespace
}  // namespace bridge::test
