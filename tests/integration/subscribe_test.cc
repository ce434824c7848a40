#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/bridge_process.h"
#include "tests/support/publisher.h"
#include "tests/support/sse_client.h"

namespace bridge::test {
namespace {

using ::testing::AllOf;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Le;

TEST(Subscribe, ResponseHasTheHeadersThatKeepProxiesFromHoldingItBack) {
  const BridgeProcess bridge;
  SseClient client(bridge.http_port(), "/events?topic=a");
  const HttpResponse& head = client.Head();
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.Header("Content-Type"),
            "text/event-stream");  // a charset would make the library compress and buffer it
  EXPECT_EQ(head.Header("Cache-Control"), "no-cache, no-transform");
  EXPECT_EQ(head.Header("X-Accel-Buffering"), "no");
  EXPECT_EQ(head.Header("Transfer-Encoding"), "chunked");
  EXPECT_EQ(head.Header("Content-Encoding"), "");
}

TEST(Subscribe, IsNotCompressedEvenWhereTheClientAcceptsIt) {
  const BridgeProcess bridge;
  SseClient client(bridge.http_port(), {.target = "/events?topic=a", .headers = "Accept-Encoding: gzip, br\r\n"});
  client.ReadOpen();
  EXPECT_EQ(client.Head().Header("Content-Encoding"), "");
}

TEST(Subscribe, PreambleTellsAJitteredRetryAndTheHeartbeat) {
  const BridgeProcess bridge({"http.retry=4s", "http.heartbeat=7s"});
  std::set<uint64_t> retries;
  for (int i = 0; i < 20; ++i) {
    SseClient client(bridge.http_port(), "/events?topic=a");
    const auto open = client.Next();
    ASSERT_TRUE(open);
    EXPECT_EQ(open->type, "bridge.open");
    EXPECT_EQ(open->data, "{\"heartbeat_ms\":7000}");
    ASSERT_TRUE(client.parser().retry_ms());
    EXPECT_THAT(*client.parser().retry_ms(), AllOf(Ge(3000U), Le(5000U)));
    retries.insert(*client.parser().retry_ms());
  }
  EXPECT_GT(retries.size(), 10U);
}

TEST(Subscribe, PostTakesTheSameAsJson) {
  const BridgeProcess bridge;
  Publisher publisher(bridge.grpc_target());
  publisher.Publish({TextEvent("a", "1"), TextEvent("b.c", "2", "t"), TextEvent("b.d", "3")});
  SseClient client(bridge.http_port(), {.target = "/events",
                                        .method = "POST",
                                        .body = R"({"topics": ["a", "b.>"], "replay": 2, "types": ["t", "message"]})"});
  client.ReadOpen();
  EXPECT_EQ(client.NextData(2), (std::vector<std::string>{"2", "3"}));
  SseClient all(bridge.http_port(),
                {.target = "/events", .method = "POST", .body = R"({"topics": [">"], "replay": "all"})"});
  all.ReadOpen();
  EXPECT_EQ(all.NextData(3), (std::vector<std::string>{"1", "2", "3"}));
}

TEST(Subscribe, TypesAreFilteredInReplayAndLive) {
  const BridgeProcess bridge;
  Publisher publisher(bridge.grpc_target());
  const auto publish = [&] {
    publisher.Publish({TextEvent("a", "1"), TextEvent("a", "2", "x"), TextEvent("a", "3", "y")});
  };
  publish();
  SseClient client(bridge.http_port(), "/events?topic=a&type=x&type=message&replay=all");
  client.ReadOpen();
  publish();
  EXPECT_EQ(client.NextData(4), (std::vector<std::string>{"1", "2", "1", "2"}));
}

TEST(Subscribe, ValueOfAParameterMayHaveAnEqualsSign) {
  const BridgeProcess bridge;
  Publisher publisher(bridge.grpc_target());
  SseClient client(bridge.http_port(), "/events?topic=a&type=x=y");
  client.ReadOpen();
  publisher.Publish({TextEvent("a", "1", "x"), TextEvent("a", "2", "y"), TextEvent("a", "3", "x=y")});
  EXPECT_EQ(client.NextData(1), (std::vector<std::string>{"3"}));
}

TEST(Subscribe, OverlappingPatternsDeliverAnEventOnce) {
  const BridgeProcess bridge;
  Publisher publisher(bridge.grpc_target());
  SseClient client(bridge.http_port(), "/events?topic=a.*&topic=a.b&topic=>");
  client.ReadOpen();
  publisher.Publish({TextEvent("a.b", "1"), TextEvent("c", "2")});
  EXPECT_EQ(client.NextData(2), (std::vector<std::string>{"1", "2"}));
  EXPECT_EQ(client.NextOwn(absl::Milliseconds(100)), std::nullopt);
}

TEST(Subscribe, ReplayLastCountsMatchesOnly) {
  const BridgeProcess bridge;
  Publisher publisher(bridge.grpc_target());
  for (int i = 0; i < 10; ++i) {
    publisher.Publish(
        {TextEvent("a", absl::StrCat("a", i)), TextEvent("b", absl::StrCat("b", i)), TextEvent("c", "c")});
  }
  SseClient one(bridge.http_port(), "/events?topic=a&replay=3");
  EXPECT_EQ(one.NextData(3), (std::vector<std::string>{"a7", "a8", "a9"}));
  SseClient two(bridge.http_port(), "/events?topic=a&topic=b&replay=3");
  EXPECT_EQ(two.NextData(3), (std::vector<std::string>{"b8", "a9", "b9"}));
  SseClient none(bridge.http_port(), "/events?topic=a&replay=0");
  none.ReadOpen();
  EXPECT_EQ(none.NextOwn(absl::Milliseconds(100)), std::nullopt);
  SseClient more(bridge.http_port(), "/events?topic=*&replay=1000000");
  EXPECT_EQ(more.NextData(30).size(), 30U);
}

TEST(Subscribe, Http10ClientGetsTheSameWithoutChunks) {
  const BridgeProcess bridge;
  Publisher publisher(bridge.grpc_target());
  publisher.Publish(TextEvent("a", "replayed"));
  SseClient client(bridge.http_port(), {.target = "/events?topic=a&replay=all", .version = "HTTP/1.0"});
  EXPECT_EQ(client.Head().Header("Transfer-Encoding"), "");
  EXPECT_EQ(client.Head().Header("Connection"), "close");
  client.ReadOpen();
  publisher.Publish(TextEvent("a", "live"));
  EXPECT_EQ(client.NextData(2), (std::vector<std::string>{"replayed", "live"}));
}

TEST(Subscribe, HeartbeatsAreCommentsAndEventsWhereTheCursorHasMoved) {
  const BridgeProcess bridge({"http.heartbeat=200ms"});
  Publisher publisher(bridge.grpc_target());
  SseClient quiet(bridge.http_port(), "/events?topic=quiet");
  quiet.ReadOpen();
  EXPECT_EQ(quiet.Next(absl::Milliseconds(700)), std::nullopt);
  EXPECT_THAT(quiet.parser().comments(), AllOf(Ge(2U), Le(5U)));

  const v1::Ack ack = publisher.Publish(TextEvent("busy", "x"));
  const auto heartbeat = quiet.Next();
  ASSERT_TRUE(heartbeat);
  EXPECT_EQ(heartbeat->type, "bridge.heartbeat");
  EXPECT_EQ(heartbeat->id, ack.first_id());
  EXPECT_EQ(quiet.Next(absl::Milliseconds(500)), std::nullopt);  // told once
}

TEST(Subscribe, HeartbeatEventsOnRequest) {
  const BridgeProcess bridge({"http.heartbeat=100ms"});
  SseClient client(bridge.http_port(), "/events?topic=a&heartbeat=event");
  const std::string id = client.ReadOpen();
  for (int i = 0; i < 3; ++i) {
    const auto heartbeat = client.Next();
    ASSERT_TRUE(heartbeat);
    EXPECT_EQ(heartbeat->type, "bridge.heartbeat");
    EXPECT_EQ(heartbeat->id, id);
  }
}

TEST(Subscribe, ClosedClientIsNoticedAtOnce) {
  const BridgeProcess bridge;
  {
    SseClient one(bridge.http_port(), "/events?topic=a");
    SseClient two(bridge.http_port(), "/events?topic=a");
    one.ReadOpen();
    two.ReadOpen();
    EXPECT_TRUE(bridge.WaitForMetric("sse_bridge_event_streams", 2));
    two.connection().Reset();
    EXPECT_TRUE(bridge.WaitForMetric("sse_bridge_event_streams", 1, absl::Milliseconds(500)));
  }
  EXPECT_TRUE(bridge.WaitForMetric("sse_bridge_event_streams", 0, absl::Milliseconds(500)));
  EXPECT_EQ(bridge.Metric("sse_bridge_event_streams_closed_total{reason=\"client_closed\"}"), 2);
}

TEST(Subscribe, StreamsOverTheLimitAreRefusedInPassing) {
  const BridgeProcess bridge({"http.max_event_streams=1"});
  SseClient first(bridge.http_port(), "/events?topic=a");
  first.ReadOpen();
  SseClient refused(bridge.http_port(), "/events?topic=a");
  EXPECT_EQ(refused.Head().status, 200);  // an EventSource would never come back after another status
  const auto closing = refused.Next();
  ASSERT_TRUE(closing);
  EXPECT_EQ(closing->type, "bridge.closing");
  EXPECT_THAT(closing->data, HasSubstr("\"reason\":\"overloaded\""));
  EXPECT_EQ(closing->id, "");
  EXPECT_TRUE(refused.parser().retry_ms());
  EXPECT_TRUE(refused.WaitForEnd());

  const HttpResponse post =
      Fetch(bridge.http_port(), "POST", "/events", "Content-Type: application/json\r\n", R"({"topics":["a"]})");
  EXPECT_EQ(post.status, 503);
  EXPECT_NE(post.Header("Retry-After"), "");
}

struct BadSubscription {
  std::string name;
  std::string target;
  std::string parameter;
  std::string detail;
};

class SubscribeRefuses : public ::testing::TestWithParam<BadSubscription> {
 protected:
  static void SetUpTestSuite() { bridge_ = new BridgeProcess({"http.max_topics=3"}); }
  static void TearDownTestSuite() { delete bridge_; }

  static BridgeProcess* bridge_;
};
BridgeProcess* SubscribeRefuses::bridge_ = nullptr;

TEST_P(SubscribeRefuses, WithAProblemThatNamesTheParameterAndShowsARightExample) {
  const HttpResponse response = Fetch(bridge_->http_port(), "GET", GetParam().target);
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.Header("Content-Type"), "application/problem+json");
  EXPECT_THAT(response.body, HasSubstr(absl::StrCat("\"parameter\":\"", GetParam().parameter, "\"")));
  EXPECT_THAT(response.body, HasSubstr(GetParam().detail));
}

INSTANTIATE_TEST_SUITE_P(
    All, SubscribeRefuses,
    ::testing::Values(
        BadSubscription{"NoTopic", "/events", "topic", "example"},
        BadSubscription{"EmptyTopic", "/events?topic=", "topic", "example"},
        BadSubscription{"BadPattern", "/events?topic=a.>.b", "topic", "a.\\u003e.b"},
        BadSubscription{"TooManyTopics", "/events?topic=a&topic=b&topic=c&topic=d", "topic", "http.max_topics"},
        BadSubscription{"UnknownParameter", "/events?topic=a&topics=b", "topics", "not known"},
        BadSubscription{"BadReplay", "/events?topic=a&replay=-1", "replay", "whole number"},
        BadSubscription{"HugeReplay", "/events?topic=a&replay=99999999999999999999", "replay", "whole number"},
        BadSubscription{"ReplayTwice", "/events?topic=a&replay=1&replay=2", "replay", "more than once"},
        BadSubscription{"BadHeartbeat", "/events?topic=a&heartbeat=yes", "heartbeat", "comment"},
        BadSubscription{"LineFeedInType", "/events?topic=a&type=a%0Ab", "type", "CR, LF or NUL"}),
    [](const auto& test) { return test.param.name; });

TEST(Subscribe, BadBodiesAreRefusedWithAProblem) {
  const BridgeProcess bridge;
  const auto post = [&](const std::string& type, const std::string& body) {
    return Fetch(bridge.http_port(), "POST", "/events", absl::StrCat("Content-Type: ", type, "\r\n"), body);
  };
  EXPECT_EQ(post("text/plain", R"({"topics":["a"]})").status, 415);
  EXPECT_EQ(post("application/json", "{").status, 400);
  EXPECT_EQ(post("application/json", R"({"topics":["a"],"unknown":1})").status, 400);
  EXPECT_THAT(post("application/json", R"({"topics":["a"],"replay":1.5})").body, HasSubstr("replay"));
  EXPECT_THAT(post("application/json", R"({"topics":["a"],"replay":{"x":1}})").body, HasSubstr("replay"));
  EXPECT_EQ(post("application/json", absl::StrCat(R"({"topics":["a"],"replay":)", std::string(20000, '['))).status,
            400);
  EXPECT_EQ(post("application/json; charset=utf-8", "{}").status, 400);
}

}  // namespace
}  // namespace bridge::test
