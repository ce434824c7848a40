// Bridges that share one log on NATS JetStream, and what they do while it is away.
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <google/protobuf/wrappers.pb.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "tests/support/bridge_process.h"
#include "tests/support/jetstream_replica.h"
#include "tests/support/nats_server.h"
#include "tests/support/publisher.h"
#include "tests/support/raw_http.h"
#include "tests/support/sse_client.h"

namespace bridge::test {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

v1::Event KeyedEvent(const std::string& topic, const std::string& text) {
  v1::Event event = TextEvent(topic, text);
  event.set_idempotency_key(text);
  return event;
}

// What grpc.health.v1.Health/Check answers for a service: 1 is SERVING, 2 NOT_SERVING. Its messages have the wire
// format of these wrappers.
int HealthOf(const BridgeProcess& bridge, const std::string& service) {
  grpc::TemplatedGenericStub<google::protobuf::StringValue, google::protobuf::Int32Value> stub(
      grpc::CreateChannel(bridge.grpc_target(), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  google::protobuf::StringValue request;
  request.set_value(service);
  google::protobuf::Int32Value response;
  absl::Notification done;
  stub.UnaryCall(&context, "/grpc.health.v1.Health/Check", grpc::StubOptions(), &request, &response,
                 [&done](const grpc::Status& status) {
                   EXPECT_TRUE(status.ok()) << status.error_message();
                   done.Notify();
                 });
  done.WaitForNotification();
  return response.value();
}

class Replicas : public ::testing::Test {
 protected:
  std::unique_ptr<BridgeProcess> StartBridge(std::vector<std::string> settings = {}) {
    settings.push_back(absl::StrCat("log.jetstream.url='", nats_.url(), "'"));
    settings.emplace_back("http.heartbeat=500ms");
    return std::make_unique<BridgeProcess>(settings);
  }

  NatsServer nats_;
};

TEST_F(Replicas, HaveTheSameEventsUnderTheSameIds) {
  const auto a = StartBridge();
  const auto b = StartBridge();
  SseClient on_a(a->http_port(), "/events?topic=orders.*");
  SseClient on_b(b->http_port(), "/events?topic=orders.*");
  on_a.ReadOpen();
  on_b.ReadOpen();
  Publisher to_a(a->grpc_target());
  Publisher to_b(b->grpc_target());
  for (int i = 0; i < 20; ++i) {
    const std::string id = (i % 2 == 0 ? to_a : to_b).Publish(TextEvent("orders.1", absl::StrCat(i))).first_id();
    for (SseClient* client : {&on_a, &on_b}) {
      const auto event = client->NextOwn();
      ASSERT_TRUE(event);
      EXPECT_EQ(event->data, absl::StrCat(i));
      EXPECT_EQ(event->id, id);
    }
  }
  v1::Event ephemeral = TextEvent("orders.2", "cursor");
  ephemeral.set_ephemeral(true);
  to_a.Publish(ephemeral);
  EXPECT_EQ(on_a.NextOwn()->data, "cursor");
  const auto there = on_b.NextOwn();
  ASSERT_TRUE(there);
  EXPECT_EQ(there->data, "cursor");
}

TEST_F(Replicas, ResumeWhatAnotherOneServedAtOnceAndExactly) {
  const auto a = StartBridge();
  const auto b = StartBridge();
  Publisher to_a(a->grpc_target());
  std::string id;
  for (int i = 0; i < 200; ++i) {
    const std::string next =
        to_a.Publish({TextEvent("a", absl::StrCat(2 * i)), TextEvent("a", absl::StrCat(2 * i + 1))}).last_id();
    if (!id.empty()) {
      SseClient client(b->http_port(), "/events?topic=a", id);
      EXPECT_EQ(client.ReadOpen(), id);
      EXPECT_EQ(client.NextData(2), (std::vector<std::string>{absl::StrCat(2 * i), absl::StrCat(2 * i + 1)}));
    }
    // One that this replica may not have seen yet is waited for, and not taken for one that is ahead of the log.
    SseClient ahead(b->http_port(), "/events?topic=a", next);
    EXPECT_EQ(ahead.ReadOpen(), next);
    id = next;
  }
  EXPECT_EQ(b->Metric("sse_bridge_gaps_total{reason=\"ahead\"}"), 0);
}

TEST_F(Replicas, DoNotDoubleWhatIsSentAgainToAnotherOne) {
  const auto a = StartBridge();
  const auto b = StartBridge();
  Publisher to_a(a->grpc_target());
  Publisher to_b(b->grpc_target());
  const std::string first = to_a.Publish(KeyedEvent("a", "1")).first_id();
  EXPECT_EQ(to_b.Publish(KeyedEvent("a", "1")).first_id(), first);
  to_b.Publish(KeyedEvent("a", "2"));
  SseClient client(a->http_port(), "/events?topic=a&replay=all");
  client.ReadOpen();
  EXPECT_EQ(client.NextData(2), (std::vector<std::string>{"1", "2"}));
  EXPECT_EQ(client.NextOwn(absl::Milliseconds(100)), std::nullopt);
  EXPECT_EQ(b->Metric("sse_bridge_events_deduplicated_total"), 1);
}

TEST_F(Replicas, KeepTheirStreamsWhileNatsIsAwayAndGoOnWhenItIsBack) {
  const auto bridge = StartBridge();
  Publisher publisher(bridge->grpc_target());
  const std::string id = publisher.Publish(KeyedEvent("a", "1")).first_id();
  // From its id on, for an ack may come before the replica has handed the event to its streams.
  const std::string last_id = publisher.Publish(KeyedEvent("a", "2")).first_id();
  SseClient client(bridge->http_port(), "/events?topic=a&heartbeat=event", last_id);
  client.ReadOpen();
  EXPECT_EQ(HealthOf(*bridge, "bridge.v1.Publisher"), 1);

  nats_.Kill();
  EXPECT_TRUE(bridge->WaitForMetric("sse_bridge_log_up", 0));
  EXPECT_TRUE(Eventually([&] { return HealthOf(*bridge, "bridge.v1.Publisher") == 2; }));
  EXPECT_EQ(HealthOf(*bridge, ""), 1);
  const HttpResponse ready = Fetch(bridge->admin_port(), "GET", "/readyz");
  EXPECT_EQ(ready.status, 200);
  EXPECT_THAT(ready.body, StartsWith("ok\nlog: "));
  // Nothing is acked that is not stored, and nobody waits long to be told.
  v1::PublishRequest request;
  *request.add_events() = KeyedEvent("a", "3");
  v1::Ack ack;
  const absl::Time start = absl::Now();
  EXPECT_EQ(publisher.TryPublish(request, &ack).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
  const auto heartbeat = client.Next();
  ASSERT_TRUE(heartbeat);
  EXPECT_EQ(heartbeat->type, "bridge.heartbeat");
  // A resume opens, and has what this replica holds.
  SseClient resuming(bridge->http_port(), "/events?topic=a", id);
  EXPECT_EQ(resuming.ReadOpen(), id);
  EXPECT_EQ(resuming.NextData(1), std::vector<std::string>{"2"});

  nats_.Start();
  EXPECT_TRUE(bridge->WaitForMetric("sse_bridge_log_up", 1, absl::Seconds(20)));
  EXPECT_TRUE(Eventually([&] { return HealthOf(*bridge, "bridge.v1.Publisher") == 1; }));
  EXPECT_TRUE(Eventually([&] { return publisher.TryPublish(request, &ack).ok(); }));
  for (SseClient* stream : {&client, &resuming}) {
    EXPECT_EQ(stream->NextData(1), std::vector<std::string>{"3"});
  }
}

TEST_F(Replicas, ServeAReplayBehindTheRingWhenNatsIsBack) {
  const auto bridge = StartBridge({"log.history.max_events=10"});
  Publisher publisher(bridge->grpc_target());
  std::vector<std::string> ids;
  for (int i = 0; i < 100; ++i) {
    ids.push_back(publisher.Publish(TextEvent("a", absl::StrCat(i))).first_id());
  }
  nats_.Kill();
  EXPECT_TRUE(bridge->WaitForMetric("sse_bridge_log_up", 0));
  SseClient client(bridge->http_port(), "/events?topic=a", ids[0]);
  EXPECT_EQ(client.ReadOpen(), ids[0]);
  EXPECT_EQ(client.NextOwn(absl::Milliseconds(1200)), std::nullopt);
  EXPECT_FALSE(client.has_ended());
  nats_.Start();
  const auto data = client.NextData(99, absl::Seconds(30));
  ASSERT_EQ(data.size(), 99);
  EXPECT_EQ(data.front(), "1");
  EXPECT_EQ(data.back(), "99");
}

TEST_F(Replicas, AreToldOfAStreamThatIsMadeAnewAndTellTheirClients) {
  const auto bridge = StartBridge();
  Publisher publisher(bridge->grpc_target());
  const std::string id = publisher.Publish(TextEvent("a", "old")).first_id();
  SseClient client(bridge->http_port(), "/events?topic=a", id);
  client.ReadOpen();
  RawNats(nats_.url()).DeleteStream("BRIDGE");
  const std::optional<SseEvent> gap = client.NextButHeartbeats();
  ASSERT_TRUE(gap);
  EXPECT_EQ(gap->type, "bridge.gap");
  EXPECT_THAT(gap->data, HasSubstr("\"reason\":\"epoch\""));
  EXPECT_THAT(gap->data, HasSubstr(id));
  v1::PublishRequest request;
  *request.add_events() = KeyedEvent("a", "new");
  v1::Ack ack;
  ASSERT_TRUE(Eventually([&] { return publisher.TryPublish(request, &ack).ok(); }));
  EXPECT_EQ(client.NextData(1), std::vector<std::string>{"new"});
  EXPECT_NE(ack.first_id().substr(0, ack.first_id().find('-')), id.substr(0, id.find('-')));
}

TEST_F(Replicas, AreNotReadyBeforeTheyHaveSeenTheirLog) {
  nats_.Kill();
  const auto bridge = StartBridge();
  const HttpResponse ready = Fetch(bridge->admin_port(), "GET", "/readyz");
  EXPECT_EQ(ready.status, 503);
  EXPECT_THAT(ready.body, StartsWith("starting\nlog: "));
  SseClient early(bridge->http_port(), "/events?topic=a");
  const auto closing = early.Next();
  ASSERT_TRUE(closing);
  EXPECT_EQ(closing->type, "bridge.closing");
  EXPECT_THAT(closing->data, HasSubstr("\"reason\":\"starting\""));
  EXPECT_EQ(closing->id, "");
  EXPECT_TRUE(early.WaitForEnd());
  nats_.Start();
  EXPECT_TRUE(
      Eventually([&] { return Fetch(bridge->admin_port(), "GET", "/readyz").status == 200; }, absl::Seconds(20)));
  SseClient client(bridge->http_port(), "/events?topic=a");
  client.ReadOpen();
}

TEST_F(Replicas, EndWithOneClearLineWhereTheStreamIsAnothers) {
  RawNats(nats_.url()).MakeStream({.url = nats_.url()}, [](jsStreamConfig* config) {
    config->Retention = js_WorkQueuePolicy;
  });
  const RunResult result =
      RunBridge({"--set", absl::StrCat("log.jetstream.url='", nats_.url(), "'"), "--set", "http.address=127.0.0.1:0",
                 "--set", "grpc.address=127.0.0.1:0", "--set", "admin.address=127.0.0.1:0"});
  EXPECT_EQ(result.exit_code, 1) << result.output;
  EXPECT_THAT(result.output, HasSubstr("sse-bridge: "));
  EXPECT_THAT(result.output, HasSubstr("retention"));
}

}  // namespace
}  // namespace bridge::test
