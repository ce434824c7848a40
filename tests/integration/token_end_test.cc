// What a stream's client sees when its token ends.
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/bridge_process.h"
#include "tests/support/publisher.h"
#include "tests/support/raw_http.h"
#include "tests/support/sse_client.h"
#include "tests/support/token_issuer.h"

namespace bridge::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kOrders[] = R"("orders.>")";

class TokenEnd : public ::testing::Test {
 protected:
  // Without leeway a token is good for nothing from its exp on.
  TokenEnd() : bridge_(issuer_.Settings({"auth.jwt.leeway=0s"})) {}

  std::string TicketFor(const std::string& bearer) const {
    const HttpResponse response = Fetch(bridge_.http_port(), "POST", "/tickets",
                                        absl::StrCat(bearer, "Content-Type: application/json\r\n"), "{}");
    google::protobuf::Struct object;
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(response.body, &object).ok()) << response.body;
    return object.fields().at("ticket").string_value();
  }
  static SseEvent NextOrNone(SseClient* client) {
    return client->Next().value_or(SseEvent{.id = "", .type = "none", .data = ""});
  }

  TokenIssuer issuer_;
  BridgeProcess bridge_;
};

TEST_F(TokenEnd, IsToldBeforeAndThenEndsTheStream) {
  const absl::Time expires = absl::Now() + absl::Seconds(6);
  const std::string bearer = issuer_.Bearer(kOrders, absl::Seconds(6));
  SseClient client(bridge_.http_port(), {.target = "/events?topic=orders.>", .headers = bearer});
  const std::string start = client.ReadOpen();

  const SseEvent expiring = NextOrNone(&client);
  EXPECT_EQ(expiring.type, "bridge.expiring");
  EXPECT_THAT(expiring.data, ::testing::MatchesRegex(R"re(\{"seconds":[123]\})re"));
  EXPECT_EQ(expiring.id, start) << "a cursor, as every control event has";
  EXPECT_LT(absl::Now(), expires);

  Publisher publisher(bridge_.grpc_target());
  publisher.Publish(TextEvent("orders.1", "before the end"));
  EXPECT_EQ(NextOrNone(&client).data, "before the end");
  const SseEvent closing = NextOrNone(&client);
  EXPECT_EQ(closing.type, "bridge.closing");
  EXPECT_THAT(closing.data, HasSubstr(R"("reason":"token_expired")"));
  EXPECT_EQ(closing.id, client.parser().last_event_id());
  EXPECT_TRUE(client.parser().retry_ms());
  EXPECT_TRUE(client.WaitForEnd());
  EXPECT_TRUE(client.has_ended_cleanly());
  EXPECT_GE(absl::Now(), expires - absl::Seconds(1)) << "exp is in whole seconds";
  EXPECT_LE(absl::Now(), expires + absl::Seconds(5)) << "checked once a second";
  EXPECT_EQ(bridge_.Metric("sse_bridge_event_streams_closed_total{reason=\"token_expired\"}"), 1);

  const HttpResponse again = Fetch(bridge_.http_port(), "GET", "/events?topic=orders.>", bearer);
  EXPECT_EQ(again.status, 401) << "final for an EventSource";
  EXPECT_THAT(again.Header("WWW-Authenticate"), AllOf(HasSubstr("invalid_token"), HasSubstr("has expired")));

  publisher.Publish({TextEvent("orders.1", "while away"), TextEvent("other", "x"), TextEvent("orders.2", "2")});
  SseClient renewed(
      bridge_.http_port(),
      {.target = "/events?topic=orders.>", .last_event_id = closing.id, .headers = issuer_.Bearer(kOrders)});
  renewed.ReadOpen();
  EXPECT_EQ(renewed.NextData(2), (std::vector<std::string>{"while away", "2"}));
}

TEST_F(TokenEnd, EndsTheStreamOfATicket) {
  // Long enough for the bridge to look at the clock more than once between half of what is left and the end.
  const std::string ticket = TicketFor(issuer_.Bearer(kOrders, absl::Seconds(6)));
  SseClient client(bridge_.http_port(), absl::StrCat("/events?topic=orders.1&ticket=", ticket));
  client.ReadOpen();
  EXPECT_EQ(NextOrNone(&client).type, "bridge.expiring");
  EXPECT_THAT(NextOrNone(&client).data, HasSubstr("token_expired"));
  EXPECT_TRUE(client.WaitForEnd());
}

TEST_F(TokenEnd, EndsOnlyTheStreamsOfThatToken) {
  SseClient stays(bridge_.http_port(), {.target = "/events?topic=orders.1", .headers = issuer_.Bearer(kOrders)});
  stays.ReadOpen();
  std::vector<std::unique_ptr<SseClient>> short_lived;
  for (int i = 0; i < 10; ++i) {
    short_lived.push_back(std::make_unique<SseClient>(
        bridge_.http_port(), SseClient::Options{.target = "/events?topic=orders.1",
                                                .headers = issuer_.Bearer(kOrders, absl::Seconds(2 + i % 2))}));
    short_lived.back()->ReadOpen();
  }
  EXPECT_TRUE(bridge_.WaitForMetric("sse_bridge_event_streams_closed_total{reason=\"token_expired\"}", 10));
  EXPECT_EQ(bridge_.Metric("sse_bridge_event_streams"), 1);
  Publisher publisher(bridge_.grpc_target());
  publisher.Publish(TextEvent("orders.1", "x"));
  EXPECT_EQ(stays.NextData(1), std::vector<std::string>{"x"});
}

}  // namespace
}  // namespace bridge::test
