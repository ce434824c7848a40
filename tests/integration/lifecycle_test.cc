#include <algorithm>
#include <csignal>
#include <memory>
#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/bridge_process.h"
#include "tests/support/publisher.h"
#include "tests/support/raw_http.h"
#include "tests/support/sse_client.h"

namespace bridge::test {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(Lifecycle, SigtermDrains) {
  BridgeProcess bridge({"drain.delay=1s", "drain.window=2s"});
  Publisher publisher(bridge.grpc_target());
  PublishCall call(&publisher);
  ASSERT_TRUE(call.Send("before", {TextEvent("a", "before")}));
  ASSERT_TRUE(call.NextAck());
  std::vector<std::unique_ptr<SseClient>> clients;
  for (int i = 0; i < 40; ++i) {
    clients.push_back(std::make_unique<SseClient>(bridge.http_port(), "/events?topic=a"));
    clients.back()->ReadOpen();
  }

  const absl::Time start = absl::Now();
  bridge.Signal(SIGTERM);
  EXPECT_TRUE(Eventually([&] { return Fetch(bridge.admin_port(), "GET", "/readyz").status == 503; }));
  // Not ready, but serving.
  SseClient late(bridge.http_port(), "/events?topic=a");
  late.ReadOpen();
  ASSERT_TRUE(call.Send("meanwhile", {TextEvent("a", "meanwhile")}));
  ASSERT_TRUE(call.NextAck());
  EXPECT_LT(absl::Now() - start, absl::Seconds(1));

  // The publisher is told, finishes, and gets every ack.
  std::thread finisher([&] {
    absl::SleepFor(absl::Milliseconds(1200) - (absl::Now() - start));  // into the drain
    EXPECT_TRUE(call.Send("last", {TextEvent("a", "last")}));
    call.HalfClose();
    EXPECT_EQ(call.NextAck()->request_id(), "last");
    EXPECT_TRUE(call.Finish().ok());
    EXPECT_TRUE(call.is_draining());
  });

  std::set<uint64_t> retries;
  absl::Time first_end = absl::InfiniteFuture();
  absl::Time last_end = start;
  for (auto& client : clients) {
    EXPECT_EQ(client->NextOwn()->data, "meanwhile");
    std::optional<SseEvent> event;
    do {
      event = client->Next();
      ASSERT_TRUE(event);
    } while (event->type != "bridge.closing");
    first_end = std::min(first_end, absl::Now());
    last_end = std::max(last_end, absl::Now());
    EXPECT_THAT(event->data, HasSubstr("\"reason\":\"draining\""));
    EXPECT_NE(event->id, "");
    retries.insert(*client->parser().retry_ms());
    EXPECT_TRUE(client->WaitForEnd());
    EXPECT_TRUE(client->has_ended_cleanly());
  }
  finisher.join();
  EXPECT_GT(first_end - start, absl::Milliseconds(900));
  // One by one over the window.
  EXPECT_GT(last_end - start, absl::Milliseconds(1000 + 2000 * 2 / 3));
  EXPECT_GT(last_end - first_end, absl::Milliseconds(300));
  EXPECT_GT(retries.size(), 20U);
  EXPECT_EQ(bridge.WaitForExit(), 0);
}

TEST(Lifecycle, NewStreamsAreSentElsewhereWhileTheBridgeDrains) {
  BridgeProcess bridge({"drain.delay=0s", "drain.window=3s"});
  SseClient held(bridge.http_port(), "/events?topic=a");
  SseClient other(bridge.http_port(), "/events?topic=a");
  held.ReadOpen();
  other.ReadOpen();
  bridge.Signal(SIGTERM);
  EXPECT_TRUE(Eventually(
      [&] {
        SseClient late(bridge.http_port(), "/events?topic=a");
        const auto event = late.Next();
        return event && event->type == "bridge.closing" && late.WaitForEnd();
      },
      absl::Seconds(2)));
  EXPECT_EQ(bridge.WaitForExit(), 0);
}

TEST(Lifecycle, SigintDrainsWithoutTheDelay) {
  BridgeProcess bridge({"drain.delay=60s", "drain.window=1s"});
  bridge.Signal(SIGINT);
  EXPECT_EQ(bridge.WaitForExit(), 0);
}

TEST(Lifecycle, SecondSigtermEndsAtOnce) {
  BridgeProcess bridge({"drain.delay=60s"});
  bridge.Signal(SIGTERM);
  EXPECT_TRUE(Eventually([&] { return absl::StrContains(bridge.Log(), "draining"); }));
  bridge.Signal(SIGTERM);
  EXPECT_EQ(bridge.WaitForExit(absl::Seconds(2)), 143);
}

TEST(Lifecycle, PublisherThatDoesNotFinishIsEndedWithUnavailable) {
  BridgeProcess bridge({"drain.delay=0s", "drain.window=1s"});
  Publisher publisher(bridge.grpc_target());
  PublishCall call(&publisher);
  ASSERT_TRUE(call.Send("x", {TextEvent("a", "x")}));
  ASSERT_TRUE(call.NextAck());
  bridge.Signal(SIGTERM);
  EXPECT_EQ(call.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(call.is_draining());
  EXPECT_EQ(bridge.WaitForExit(), 0);
}

TEST(Lifecycle, GoesOnAfterItStoodStillWhileItsClientsLeft) {
  const BridgeProcess bridge({"http.heartbeat=1s"});
  std::vector<std::unique_ptr<SseClient>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::make_unique<SseClient>(bridge.http_port(), "/events?topic=a"));
    clients.back()->ReadOpen();
  }
  bridge.Signal(SIGSTOP);
  for (auto& client : clients) {
    client->connection().Reset();
  }
  absl::SleepFor(absl::Milliseconds(1200));  // so that heartbeats are due, and what tells it of the resets
  bridge.Signal(SIGCONT);
  EXPECT_TRUE(bridge.WaitForMetric("sse_bridge_event_streams", 0));
  EXPECT_EQ(Fetch(bridge.admin_port(), "GET", "/livez").status, 200);
}

TEST(Lifecycle, StreamsOfMaxAgeAreAskedToReconnect) {
  const BridgeProcess bridge({"http.stream_max_age=1s"});
  SseClient client(bridge.http_port(), "/events?topic=a");
  client.ReadOpen();
  const auto closing = client.Next(absl::Seconds(3));
  ASSERT_TRUE(closing);
  EXPECT_EQ(closing->type, "bridge.closing");
  EXPECT_THAT(closing->data, HasSubstr("\"reason\":\"max_age\""));
  EXPECT_TRUE(client.WaitForEnd());
}

TEST(Lifecycle, PublishersOfMaxAgeAreToldToReconnect) {
  const BridgeProcess bridge({"grpc.stream_max_age=1s"});
  Publisher publisher(bridge.grpc_target());
  PublishCall call(&publisher);
  ASSERT_TRUE(call.Send("x", {TextEvent("a", "x")}));
  ASSERT_TRUE(call.NextAck());
  absl::SleepFor(absl::Milliseconds(1300));  // past grpc.stream_max_age
  ASSERT_TRUE(call.Send("y", {TextEvent("a", "y")}));
  call.HalfClose();
  EXPECT_TRUE(call.Finish().ok());
  EXPECT_TRUE(call.is_draining());
}

TEST(Lifecycle, PublishersThatStayPastTheirMaxAgeAreEndedAfterEveryAck) {
  const BridgeProcess bridge({"grpc.stream_max_age=1s"});
  Publisher publisher(bridge.grpc_target());
  PublishCall call(&publisher);
  const absl::Time start = absl::Now();
  std::thread writer([&] {
    while (absl::Now() < start + absl::Seconds(20) && call.Send("x", {TextEvent("a", "x")})) {
      absl::SleepFor(absl::Milliseconds(1));  // the rate at which it publishes
    }
    call.HalfClose();
  });
  double acks = 0;
  while (call.NextAck()) {
    ++acks;
  }
  const grpc::Status status = call.Finish();
  writer.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), HasSubstr("grpc.stream_max_age"));
  EXPECT_TRUE(call.is_draining());
  EXPECT_GT(absl::Now() - start, absl::Seconds(10));
  EXPECT_GT(acks, 100);
  EXPECT_EQ(bridge.Metric("sse_bridge_events_accepted_total"), acks);
}

TEST(Lifecycle, TakenPortsAreOneClearLine) {
  const BridgeProcess bridge;
  for (const std::string section : {"http", "grpc", "admin"}) {
    const uint16_t port = section == "http"   ? bridge.http_port()
                          : section == "grpc" ? bridge.grpc_port()
                                              : bridge.admin_port();
    std::vector<std::string> arguments;
    for (const std::string other : {"http", "grpc", "admin"}) {
      arguments.insert(arguments.end(),
                       {"--set", absl::StrCat(other, ".address=127.0.0.1:", other == section ? port : 0)});
    }
    const RunResult result = RunBridge(arguments);
    EXPECT_EQ(result.exit_code, 1) << section;
    EXPECT_THAT(result.output, HasSubstr(absl::StrCat("cannot listen on 127.0.0.1:", port))) << section;
  }
}

TEST(Lifecycle, TooFewOpenFilesAreOneClearLine) {
  // Below eight the system cannot load the program.
  for (const uint64_t files : {8U, 9U, 10U, 13U, 16U, 17U, 20U, 40U, 60U}) {
    const RunResult result = RunBridgeWithOpenFiles(files, {"--set", "http.event_loops=8"});
    EXPECT_EQ(result.exit_code, 1) << files;
    EXPECT_THAT(result.output, StartsWith("sse-bridge: only ")) << files;
    EXPECT_THAT(result.output, HasSubstr("80 are needed to start with 8 event loops")) << files;
    EXPECT_EQ(std::ranges::count(result.output, '\n'), 1) << result.output;
  }
}

TEST(Lifecycle, BadConfigurationIsOneClearLine) {
  const RunResult unknown = RunBridge({"--set", "http.heartbeet=1s"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.output, HasSubstr("did you mean heartbeat?"));
  EXPECT_EQ(RunBridge({"--check-config"}).exit_code, 0);
  EXPECT_EQ(RunBridge({"--config", "/nonexistent.yaml"}).exit_code, 2);
  EXPECT_EQ(RunBridge({"--no-such-option"}).exit_code, 2);
  EXPECT_EQ(RunBridge({"--help"}).exit_code, 0);
  EXPECT_THAT(RunBridge({"--version"}).output, HasSubstr("sse-bridge "));
}

TEST(Lifecycle, WithoutAFileItSaysWhatItRunsAs) {
  const BridgeProcess bridge;
  EXPECT_THAT(bridge.Log(), HasSubstr("log=memory"));
  EXPECT_THAT(bridge.Log(), HasSubstr("authentication=none"));
}

}  // namespace
}  // namespace bridge::test
