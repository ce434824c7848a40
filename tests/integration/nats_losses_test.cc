// A NATS store that comes back without what had been acked, or trims what a bridge has not seen, and a cluster that has
// lost most of its servers.
#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/support/bridge_process.h"
#include "tests/support/event_log_fixture.h"
#include "tests/support/fault_proxy.h"
#include "tests/support/jetstream_replica.h"
#include "tests/support/nats_server.h"
#include "tests/support/publisher.h"
#include "tests/support/sse_client.h"

namespace bridge::test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> Numbers(int first, int end) {
  std::vector<std::string> numbers;
  for (int number = first; number < end; ++number) {
    numbers.push_back(absl::StrCat(number));
  }
  return numbers;
}

// A bridge whose ring holds less than its log.
class OlderCopy : public ::testing::Test {
 protected:
  static constexpr int kEvents = 100;

  // Publishes the numbers as events of their own, and returns the last one's id. A stream that shall begin behind them
  // begins with that id, for an ack may come before the bridge has handed the event to its streams.
  std::string Publish(int first, int end) {
    Publisher publisher(bridge_.grpc_target());
    std::string id;
    for (const std::string& number : Numbers(first, end)) {
      id = publisher.Publish(TextEvent("a", number)).last_id();
    }
    return id;
  }

  // NATS is ended, `change` is done to its store, and the bridge has found it again.
  void Restart(void (NatsServer::*change)()) {
    nats_.Kill();
    EXPECT_TRUE(bridge_.WaitForMetric("sse_bridge_log_up", 0));
    (nats_.*change)();
    nats_.Start();
    EXPECT_TRUE(bridge_.WaitForMetric("sse_bridge_log_up", 1, absl::Seconds(30)));
  }

  // Everything that the bridge's log holds, as a new client gets it.
  std::vector<std::string> ReplayAll(size_t count) {
    SseClient client(bridge_.http_port(), "/events?topic=a&replay=all");
    client.ReadOpen();
    std::vector<std::string> data = client.NextData(count);
    EXPECT_EQ(client.NextOwn(absl::Milliseconds(100)), std::nullopt);
    return data;
  }

  NatsServer nats_;
  BridgeProcess bridge_{
      {absl::StrCat("log.jetstream.url='", nats_.url(), "'"), "log.history.max_events=10", "http.event_loops=1"}};
  const std::string last_id_ = Publish(0, kEvents);
};

TEST_F(OlderCopy, IsAGapEpochAndAllGoesOn) {
  SseClient client(bridge_.http_port(), "/events?topic=a", last_id_);
  client.ReadOpen();
  Restart(&NatsServer::CopyStore);
  const std::string lost = Publish(kEvents, size_t{2} * kEvents);
  EXPECT_EQ(client.NextData(kEvents), Numbers(kEvents, size_t{2} * kEvents));
  Restart(&NatsServer::PutBackStore);

  const std::optional<SseEvent> gap = client.NextButHeartbeats();
  ASSERT_TRUE(gap);
  EXPECT_EQ(gap->type, "bridge.gap");
  EXPECT_THAT(gap->data, HasSubstr(R"("reason":"epoch")"));
  EXPECT_THAT(gap->data, HasSubstr(absl::StrCat(R"("requested":")", lost, "\"")));
  EXPECT_EQ(client.NextData(kEvents), Numbers(0, kEvents)) << "from the oldest one on";
  Publish(1000, 1003);
  EXPECT_EQ(client.NextData(3), Numbers(1000, 1003));
  EXPECT_TRUE(absl::StrContains(bridge_.Log(), "stream_lost_its_end"));
}

TEST_F(OlderCopy, NothingOfWhatIsLostIsServedFromMemory) {
  Restart(&NatsServer::CopyStore);
  Publish(kEvents, size_t{2} * kEvents);
  EXPECT_EQ(ReplayAll(size_t{2} * kEvents), Numbers(0, size_t{2} * kEvents));
  Restart(&NatsServer::PutBackStore);
  Publish(1000, 1000 + kEvents);
  std::vector<std::string> expected = Numbers(0, kEvents);
  for (const std::string& number : Numbers(1000, 1000 + kEvents)) {
    expected.push_back(number);
  }
  EXPECT_EQ(ReplayAll(size_t{2} * kEvents), expected);
}

TEST_F(OlderCopy, AnIdThatIsLostIsAheadOfTheLog) {
  Restart(&NatsServer::CopyStore);
  const std::string lost = Publish(kEvents, size_t{2} * kEvents);
  SseClient witness(bridge_.http_port(), "/events?topic=a", lost);
  witness.ReadOpen();
  Restart(&NatsServer::PutBackStore);
  Publish(1000, 1001);
  ASSERT_THAT(witness.NextData(kEvents + 1), ::testing::Contains("1000"))
      << "the bridge has noticed, and has caught up";
  SseClient client(bridge_.http_port(), "/events?topic=a", lost);
  client.ReadOpen();
  const auto gap = client.Next();
  ASSERT_TRUE(gap);
  EXPECT_EQ(gap->type, "bridge.gap");
  EXPECT_THAT(gap->data, HasSubstr(R"("reason":"ahead")"));
  Publish(1001, 1002);
  EXPECT_EQ(client.NextData(1), Numbers(1001, 1002));
}

// --- A store that trims while a bridge cannot see it.

TEST(TrimmedMeanwhile, IsAGapToTheEventStreamsOfABridgeThatWasCutOff) {
  const NatsServer nats;
  FaultProxy proxy(nats.port());
  const auto settings_of = [](uint16_t port) {
    return std::vector<std::string>{absl::StrCat("log.jetstream.url='nats://127.0.0.1:", port, "'")};
  };
  const BridgeProcess cut_off(settings_of(proxy.port()));
  const BridgeProcess other(settings_of(nats.port()));
  Publisher publisher(other.grpc_target());
  const auto publish = [&publisher](int first, int end) {
    for (const std::string& number : Numbers(first, end)) {
      publisher.Publish(TextEvent("a", number));
    }
  };
  SseClient client(cut_off.http_port(), "/events?topic=a");
  client.ReadOpen();
  publish(0, 5);
  EXPECT_EQ(client.NextData(5), Numbers(0, 5));
  proxy.SetTraffic(FaultProxy::Traffic::kRefused);
  ASSERT_TRUE(cut_off.WaitForMetric("sse_bridge_log_up", 0));
  publish(5, 100);
  RawNats(nats.url()).TrimBefore("BRIDGE", 51);
  proxy.SetTraffic(FaultProxy::Traffic::kPasses);

  const std::optional<SseEvent> gap = client.NextButHeartbeats();
  ASSERT_TRUE(gap);
  EXPECT_EQ(gap->type, "bridge.gap");
  EXPECT_THAT(gap->data, HasSubstr(R"("reason":"trimmed")"));
  EXPECT_EQ(client.NextData(50), Numbers(50, 100));
  publish(100, 103);
  EXPECT_EQ(client.NextData(3), Numbers(100, 103));
}

// --- A cluster of three.

TEST(ClusterWithoutMost, SaysNothingOfItsEndAndGoesOnWhereItWas) {
  NatsCluster cluster;
  Replica replica({.url = cluster.url(), .replicas = 3});
  ASSERT_TRUE(replica.AwaitCaughtUp()) << replica.health();
  constexpr size_t kRecords = 200;
  const std::vector<uint64_t> acked = replica.PublishKeyed(kRecords, [](size_t) {});
  ASSERT_THAT(acked, testing::SizeIs(kRecords));
  ASSERT_TRUE(replica.follower().WaitForEntries(kRecords));
  const uint64_t epoch = replica.follower().epoch();

  // The one that is left leads the stream, and answers for a while as if nothing had happened.
  std::string leader;
  ASSERT_TRUE(
      Eventually([&] { return !(leader = RawNats(cluster.url()).LeaderOf("BRIDGE")).empty(); }, absl::Seconds(60)));
  std::vector<NatsServer*> lost;
  for (size_t i = 0; i < NatsCluster::kServers; ++i) {
    if (leader != absl::StrCat("n", i)) {
      lost.push_back(&cluster.server(i));
      lost.back()->Kill();
    }
  }
  EXPECT_TRUE(
      Eventually([&] { return absl::StrContains(replica.GetBounds().status().message(), "most of the servers"); },
                 absl::Seconds(30)));
  EXPECT_EQ(replica.Append({MakeRecord("t", "meanwhile", "meanwhile")}).status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_TRUE(absl::IsUnavailable(replica.GetBounds().status()));

  for (NatsServer* server : lost) {
    server->Start();
  }
  ASSERT_TRUE(replica.AwaitHealthy()) << replica.health();
  const uint64_t next = replica.AppendUntilAcked(MakeRecord("t", "meanwhile", "meanwhile"));
  EXPECT_GT(next, acked.back());
  EXPECT_TRUE(replica.follower().WaitForEntries(kRecords + 1));
  EXPECT_EQ(replica.follower().epoch(), epoch);
  EXPECT_EQ(replica.follower().size(), kRecords + 1) << "nothing is handed over again";
  EXPECT_EQ(DataOf(replica.ReadAll()), DataOf(replica.follower().entries()));
  EXPECT_THAT(replica.follower().violations(), IsEmpty());
}

// Its servers may take a while to agree where a stream ends, so an end that is missing is not taken for lost at once.
TEST(ClusterOfOlderCopies, HidesNothingThatIsPublishedWhileTheEndIsWaitedFor) {
  NatsCluster cluster;
  const auto restart = [&cluster](void (NatsServer::*change)()) {
    for (size_t i = 0; i < NatsCluster::kServers; ++i) {
      cluster.server(i).Kill();
    }
    for (size_t i = 0; i < NatsCluster::kServers; ++i) {
      (cluster.server(i).*change)();
      cluster.server(i).Start();
    }
  };
  Replica replica({.url = cluster.url(), .replicas = 3}, {.events_max = 1000, .bytes_max = 1 << 20});
  ASSERT_TRUE(replica.AwaitCaughtUp()) << replica.health();
  const auto publish = [&replica](int first, int end) {
    uint64_t sequence = 0;
    for (const std::string& number : Numbers(first, end)) {
      sequence = replica.AppendUntilAcked(MakeRecord("t", number, number));
    }
    return sequence;
  };
  publish(0, 10);
  restart(&NatsServer::CopyStore);
  ASSERT_EQ(publish(10, 20), 20);
  ASSERT_TRUE(replica.follower().WaitForEntries(20));
  restart(&NatsServer::PutBackStore);
  ASSERT_EQ(publish(100, 101), 11) << "with what follows it takes the places of those that are lost";
  publish(101, 115);

  std::vector<std::string> expected = Numbers(0, 20);
  for (const auto& [first, end] : {std::pair(0, 10), std::pair(100, 115)}) {
    std::ranges::copy(Numbers(first, end), std::back_inserter(expected));
  }
  EXPECT_TRUE(replica.follower().WaitForEntries(expected.size()));
  EXPECT_EQ(DataOf(replica.follower().entries()), expected);
  EXPECT_EQ(replica.follower().epochs(), 2);
  EXPECT_THAT(replica.follower().gaps(), IsEmpty()) << "it is told as a log that starts anew";
  EXPECT_THAT(replica.follower().violations(), IsEmpty());
}

}  // namespace
}  // namespace bridge::test
