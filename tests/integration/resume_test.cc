#include <csignal>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/bridge_process.h"
#include "tests/support/publisher.h"
#include "tests/support/sse_client.h"

namespace bridge::test {
namespace {

using ::testing::HasSubstr;

std::string NumberOf(const std::string& id) { return id.substr(id.find('-') + 1); }
std::string EpochOf(const std::string& id) { return id.substr(0, id.find('-')); }

class Resume : public ::testing::Test {
 protected:
  std::vector<std::string> PublishNumbers(int count, const std::string& topic = "a") {
    std::vector<std::string> ids;
    for (int i = 0; i < count; ++i) {
      ids.push_back(publisher_.Publish(TextEvent(topic, absl::StrCat(i))).first_id());
    }
    return ids;
  }
  SseEvent Gap(SseClient* client) {
    const auto gap = client->Next();
    EXPECT_TRUE(gap && gap->type == "bridge.gap");
    return gap.value_or(SseEvent());
  }

  BridgeProcess bridge_{{"log.history.max_events=10", "http.event_loops=2"}};
  Publisher publisher_{bridge_.grpc_target()};
};

TEST_F(Resume, AfterAnIdComesExactlyTheRest) {
  const auto ids = PublishNumbers(8);
  for (size_t i = 0; i < ids.size(); ++i) {
    SseClient client(bridge_.http_port(), "/events?topic=a", ids[i]);
    EXPECT_EQ(client.ReadOpen(), ids[i]);
    const auto data = client.NextData(7 - i, absl::Seconds(2));
    EXPECT_EQ(data.size(), 7 - i);
    EXPECT_EQ(client.NextOwn(absl::Milliseconds(20)), std::nullopt);
  }
}

TEST_F(Resume, OneIdResumesManyTopicsAndPatterns) {
  PublishNumbers(2, "x.1");
  const std::string id = publisher_.Publish(TextEvent("other", "o")).first_id();
  PublishNumbers(2, "x.2");
  PublishNumbers(1, "y");
  SseClient client(bridge_.http_port(), "/events?topic=x.*&topic=y", id);
  client.ReadOpen();
  EXPECT_EQ(client.NextData(3), (std::vector<std::string>{"0", "1", "0"}));
}

TEST_F(Resume, HeaderWinsOverTheQueryAndPolyfillsParameterOverTheOther) {
  const auto ids = PublishNumbers(4);
  SseClient header(bridge_.http_port(), absl::StrCat("/events?topic=a&lastEventId=", ids[0], "&last_event_id=", ids[1]),
                   ids[2]);
  EXPECT_EQ(header.ReadOpen(), ids[2]);
  SseClient polyfill(bridge_.http_port(),
                     absl::StrCat("/events?topic=a&lastEventId=", ids[0], "&last_event_id=", ids[1]));
  EXPECT_EQ(polyfill.ReadOpen(), ids[0]);
  SseClient query(bridge_.http_port(),
                  absl::StrCat("/events?topic=a&lastEventId=&last_event_id=", ids[1], "&replay=all"));
  EXPECT_EQ(query.ReadOpen(), ids[1]);
  SseClient body(bridge_.http_port(), {.target = "/events",
                                       .method = "POST",
                                       .body = absl::StrCat(R"({"topics":["a"],"last_event_id":")", ids[3], "\"}")});
  EXPECT_EQ(body.ReadOpen(), ids[3]);
}

TEST_F(Resume, TrimmedIdIsToldAsAGapAndGoesOnFromTheOldest) {
  const auto ids = PublishNumbers(15);
  SseClient client(bridge_.http_port(), "/events?topic=a", ids[2]);
  client.ReadOpen();
  const SseEvent gap = Gap(&client);
  EXPECT_EQ(gap.data, absl::StrCat(R"({"requested":")", ids[2], R"(","oldest":")", ids[5], R"(","reason":"trimmed"})"));
  EXPECT_EQ(gap.id, ids[4]);  // the position before the next event
  EXPECT_EQ(client.NextData(10).front(), "5");
  // The last id that can be resumed from without a gap.
  SseClient exact(bridge_.http_port(), "/events?topic=a", ids[4]);
  exact.ReadOpen();
  EXPECT_EQ(exact.Next()->data, "5");
}

TEST_F(Resume, AnotherEpochIsToldAsAGapAndGoesOnFromTheOldest) {
  const auto ids = PublishNumbers(3);
  bridge_.Restart(SIGKILL);
  Publisher publisher(bridge_.grpc_target(), Publisher::Channel::kOwn);
  publisher.Publish({TextEvent("a", "new 1"), TextEvent("a", "new 2")});
  SseClient client(bridge_.http_port(), "/events?topic=a", ids[2]);
  client.ReadOpen();
  EXPECT_THAT(Gap(&client).data, HasSubstr("\"reason\":\"epoch\""));
  EXPECT_EQ(client.NextData(2), (std::vector<std::string>{"new 1", "new 2"}));
}

TEST_F(Resume, CutBetweenOpenAndGapHidesNothing) {
  const auto ids = PublishNumbers(15);
  std::string id = ids[0];
  {
    SseClient client(bridge_.http_port(), "/events?topic=a", id);
    id = client.ReadOpen();
  }
  SseClient client(bridge_.http_port(), "/events?topic=a", id);
  client.ReadOpen();
  EXPECT_THAT(Gap(&client).data, HasSubstr("\"reason\":\"trimmed\""));
}

TEST_F(Resume, IdAheadOfTheLogIsToldAsAGapAndGoesOnLive) {
  const auto ids = PublishNumbers(3);
  SseClient client(bridge_.http_port(), "/events?topic=a", absl::StrCat(EpochOf(ids[0]), "-999"));
  client.ReadOpen();
  const SseEvent gap = Gap(&client);
  EXPECT_THAT(gap.data, HasSubstr("\"reason\":\"ahead\""));
  EXPECT_EQ(gap.id, ids[2]);
  publisher_.Publish(TextEvent("a", "live"));
  EXPECT_EQ(client.NextData(1), std::vector<std::string>{"live"});
}

TEST_F(Resume, MalformedIdsAreToldAsAGapAndGoOnLive) {
  PublishNumbers(3);
  for (const std::string id :
       {"x", "-", "1-", "-1", "1-01", "01-1", "1-1-1", "FF-1", "1-18446744073709551616", "1 1", "<script>"}) {
    SseClient client(bridge_.http_port(), "/events?topic=a", id);
    client.ReadOpen();
    EXPECT_THAT(Gap(&client).data, HasSubstr("\"reason\":\"malformed\"")) << id;
  }
  SseClient hostile(bridge_.http_port(), "/events?topic=a&last_event_id=%0Aevent:%20evil%0Adata:%20x%0A%0A%FF");
  hostile.ReadOpen();
  EXPECT_THAT(Gap(&hostile).data, HasSubstr("\\\\nevent"));
  publisher_.Publish(TextEvent("a", "live"));
  EXPECT_EQ(hostile.Next()->data, "live");
}

TEST_F(Resume, ReplayAllStartsBeforeTheOldest) {
  const auto ids = PublishNumbers(15);
  SseClient client(bridge_.http_port(), "/events?topic=a&replay=all");
  EXPECT_EQ(client.ReadOpen(), ids[4]);
  EXPECT_EQ(client.NextData(10).size(), 10U);
}

TEST_F(Resume, HistoryIsTrimmedByAge) {
  const BridgeProcess bridge({"log.history.max_age=1s"});
  Publisher publisher(bridge.grpc_target());
  const std::string id = publisher.Publish(TextEvent("a", "old")).first_id();
  publisher.Publish(TextEvent("a", "older than a second, later"));
  EXPECT_TRUE(bridge.WaitForMetric("sse_bridge_history_events", 0));
  SseClient client(bridge.http_port(), "/events?topic=a", id);
  client.ReadOpen();
  const SseEvent gap = Gap(&client);
  EXPECT_THAT(gap.data, HasSubstr(R"("oldest":"","reason":"trimmed")"));
  EXPECT_EQ(NumberOf(gap.id), "2");
}

TEST_F(Resume, StreamsOnEveryLoopSeeTheSameIds) {
  // With several loops one may be behind the other for a moment: an id that this loop has not seen yet waits, it is no
  // gap.
  for (int i = 0; i < 200; ++i) {
    const std::string id = publisher_.Publish(TextEvent("a", absl::StrCat(i))).first_id();
    SseClient client(bridge_.http_port(), "/events?topic=a", id);
    ASSERT_EQ(client.ReadOpen(), id);
    publisher_.Publish(TextEvent("a", "next"));
    ASSERT_EQ(client.Next()->data, "next");
  }
}

}  // namespace
}  // namespace bridge::test
