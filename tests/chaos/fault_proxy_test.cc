#include "tests/support/fault_proxy.h"

#include <gtest/gtest.h>

#include "absl/time/clock.h"
#include "tests/support/bridge_process.h"
#include "tests/support/raw_http.h"
#include "tests/support/sse_client.h"

namespace bridge::test {
namespace {

using Traffic = FaultProxy::Traffic;

constexpr absl::Duration kMoment = absl::Milliseconds(200);

// A bridge behind a proxy: its admin port answers, its event streams stay open.
class FaultProxyTest : public testing::Test {
 protected:
  const BridgeProcess bridge_{{"http.heartbeat=1s"}};
  FaultProxy proxy_{bridge_.http_port()};
};

TEST_F(FaultProxyTest, CutsWhatThereIs) {
  SseClient client(proxy_.port(), "/events?topic=a");
  client.ReadOpen();
  proxy_.Cut();
  EXPECT_TRUE(client.WaitForEnd());
  EXPECT_TRUE(client.connection().was_reset());
  SseClient(proxy_.port(), "/events?topic=a").ReadOpen();
  EXPECT_TRUE(bridge_.WaitForMetric("sse_bridge_event_streams", 0));
}

TEST_F(FaultProxyTest, Refuses) {
  SseClient client(proxy_.port(), "/events?topic=a");
  client.ReadOpen();
  proxy_.SetTraffic(Traffic::kRefused);
  EXPECT_TRUE(client.WaitForEnd());
  EXPECT_TRUE(SseClient(proxy_.port(), "/events?topic=a").WaitForEnd());
  proxy_.SetTraffic(Traffic::kPasses);
  SseClient(proxy_.port(), "/events?topic=a").ReadOpen();
}

TEST_F(FaultProxyTest, HoldsAndLosesNothing) {
  proxy_.SetTraffic(Traffic::kHeld);
  SseClient client(proxy_.port(), "/events?topic=a");
  EXPECT_FALSE(client.Next(kMoment));
  EXPECT_FALSE(client.has_ended());
  proxy_.SetTraffic(Traffic::kPasses);
  client.ReadOpen();
}

TEST_F(FaultProxyTest, Delays) {
  proxy_.SetDelay(kMoment);
  const absl::Time start = absl::Now();
  SseClient(proxy_.port(), "/events?topic=a").ReadOpen();
  EXPECT_GE(absl::Now() - start, 2 * kMoment);  // there and back
}

TEST_F(FaultProxyTest, PassesOnThatASideHasEnded) {
  auto client = std::make_unique<SseClient>(proxy_.port(), "/events?topic=a");
  client->ReadOpen();
  client = nullptr;
  EXPECT_TRUE(bridge_.WaitForMetric("sse_bridge_event_streams", 0));
  EXPECT_EQ(Fetch(proxy_.port(), "GET", "/nothing").status, 404);
}

}  // namespace
}  // namespace bridge::test
