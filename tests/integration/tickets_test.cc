// Tickets: from a token to a URL that opens one event stream.
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
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
constexpr char kJson[] = "Content-Type: application/json\r\n";

HttpResponse Post(const BridgeProcess& bridge, const std::string& headers, const std::string& body = "{}",
                  const std::string& target = "/tickets") {
  return Fetch(bridge.http_port(), "POST", target, headers, body);
}

google::protobuf::Struct JsonOf(const HttpResponse& response) {
  google::protobuf::Struct object;
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(response.body, &object).ok()) << response.body;
  return object;
}

std::string TicketFrom(const BridgeProcess& bridge, const std::string& bearer) {
  const HttpResponse response = Post(bridge, absl::StrCat(bearer, kJson));
  EXPECT_EQ(response.status, 200) << response.body;
  return JsonOf(response).fields().at("ticket").string_value();
}

std::string Target(const std::string& ticket, const std::string& topic = "orders.1") {
  return absl::StrCat("/events?topic=", topic, "&ticket=", ticket);
}

class Tickets : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    issuer_ = new TokenIssuer;
    bridge_ = new BridgeProcess(
        issuer_->Settings({"auth.tickets.ttl=10s", "auth.jwt.cookie=session", "auth.jwt.query=token",
                           "auth.anonymous.subscribe=[public]", "http.cors.allowed_origins=['https://app.example']"}));
  }
  static void TearDownTestSuite() {
    delete bridge_;
    delete issuer_;
  }

  static std::string Ticket() { return TicketFrom(*bridge_, issuer_->Bearer(kOrders)); }
  static double Made() { return bridge_->Metric("sse_bridge_tickets_made_total"); }

  static TokenIssuer* issuer_;
  static BridgeProcess* bridge_;
};
TokenIssuer* Tickets::issuer_ = nullptr;
BridgeProcess* Tickets::bridge_ = nullptr;

TEST_F(Tickets, AreGivenToTheHolderOfATokenInTheHeaderOrTheCookie) {
  const double made = Made();
  const std::string cookie =
      absl::StrCat("Cookie: session=", issuer_->Token(kOrders), "\r\nSec-Fetch-Site: same-origin\r\n");
  for (const std::string& shown : {issuer_->Bearer(kOrders), cookie}) {
    for (const std::string body : {"", "{}"}) {
      const HttpResponse response = Post(*bridge_, absl::StrCat(shown, kJson), body);
      EXPECT_EQ(response.status, 200) << response.body;
      EXPECT_EQ(response.Header("Content-Type"), "application/json");
      EXPECT_EQ(response.Header("Cache-Control"), "no-store");
      EXPECT_NE(JsonOf(response).fields().at("ticket").string_value(), "");
      EXPECT_EQ(JsonOf(response).fields().at("expires_in").number_value(), 10);
    }
  }
  EXPECT_EQ(Made(), made + 4);
}

TEST_F(Tickets, EndWithTheirToken) {
  const HttpResponse response = Post(*bridge_, absl::StrCat(issuer_->Bearer(kOrders, absl::Seconds(5)), kJson));
  EXPECT_LE(JsonOf(response).fields().at("expires_in").number_value(), 5);
}

TEST_F(Tickets, OpenOneStream) {
  const std::string ticket = Ticket();
  SseClient client(bridge_->http_port(), Target(ticket));
  const std::string id = client.ReadOpen();
  Publisher publisher(bridge_->grpc_target());
  publisher.Publish(TextEvent("orders.1", "x"));
  EXPECT_EQ(client.NextData(1), std::vector<std::string>{"x"});

  const HttpResponse again =
      Fetch(bridge_->http_port(), "GET", Target(ticket), absl::StrCat("Last-Event-ID: ", id, "\r\n"));
  EXPECT_EQ(again.status, 401) << "final for an EventSource, which takes another ticket";
  EXPECT_THAT(again.Header("WWW-Authenticate"),
              AllOf(HasSubstr("error=\"invalid_token\""), HasSubstr("has been used")));
  EXPECT_THAT(again.body, HasSubstr("POST /tickets"));
}

TEST_F(Tickets, AreNotUsedUpByARequestThatIsRefused) {
  const std::string ticket = Ticket();
  const auto status = [&](const std::string& target) { return Fetch(bridge_->http_port(), "GET", target).status; };
  EXPECT_EQ(status(absl::StrCat("/events?ticket=", ticket)), 400);
  EXPECT_EQ(status(Target(ticket, "a..b")), 400);
  EXPECT_EQ(status(Target(ticket, "a&unknown=1")), 400);
  EXPECT_EQ(status(Target(ticket, "orders.1&topic=other")), 403);
  EXPECT_EQ(Fetch(bridge_->http_port(), "HEAD", Target(ticket)).status, 200);
  SseClient client(bridge_->http_port(), Target(ticket));
  client.ReadOpen();
}

TEST_F(Tickets, AreNotUsedUpByABridgeThatIsOverloaded) {
  const TokenIssuer issuer;
  const BridgeProcess bridge(issuer.Settings({"http.max_event_streams=1"}));
  const std::string ticket = TicketFrom(bridge, issuer.Bearer(kOrders));
  {
    SseClient first(bridge.http_port(), {.target = "/events?topic=orders.1", .headers = issuer.Bearer(kOrders)});
    first.ReadOpen();
    SseClient refused(bridge.http_port(), Target(ticket));
    const auto closing = refused.Next();
    ASSERT_TRUE(closing);
    EXPECT_THAT(closing->data, HasSubstr("overloaded"));
  }
  EXPECT_TRUE(bridge.WaitForMetric("sse_bridge_event_streams", 0));
  SseClient opened(bridge.http_port(), Target(ticket));
  opened.ReadOpen();
}

TEST_F(Tickets, GrantWhatTheirTokenGrants) {
  const HttpResponse response = Fetch(bridge_->http_port(), "GET", Target(Ticket(), ">"));
  EXPECT_EQ(response.status, 403);
  EXPECT_THAT(response.body, HasSubstr("no pattern of the ticket contains it"));
}

TEST_F(Tickets, ExpireSoon) {
  const TokenIssuer issuer;
  const BridgeProcess bridge(issuer.Settings({"auth.tickets.ttl=1s"}));
  const std::string ticket = TicketFrom(bridge, issuer.Bearer(kOrders));
  // HEAD does not use it up.
  EXPECT_TRUE(Eventually([&] { return Fetch(bridge.http_port(), "HEAD", Target(ticket)).status == 401; }));
  EXPECT_THAT(Fetch(bridge.http_port(), "GET", Target(ticket)).body, HasSubstr("has expired"));
}

TEST_F(Tickets, AreNotGivenForLessThanAToken) {
  const auto expect_401 = [](const std::string& headers, const std::string& target = "/tickets") {
    const HttpResponse response = Post(*bridge_, absl::StrCat(headers, kJson), "{}", target);
    EXPECT_EQ(response.status, 401) << target << "\n" << headers;
    EXPECT_EQ(response.Header("Cache-Control"), "no-store");
    return response;
  };
  EXPECT_EQ(expect_401("").Header("WWW-Authenticate"), "Bearer realm=\"grpc-sse-bridge\"");
  EXPECT_THAT(expect_401("Authorization: Bearer x\r\n").Header("WWW-Authenticate"), HasSubstr("invalid_token"));
  expect_401(absl::StrCat("Cookie: session=", issuer_->Token(kOrders), "\r\n"));
  expect_401(absl::StrCat("Cookie: session=", issuer_->Token(kOrders),
                          "\r\nSec-Fetch-Site: cross-site\r\nOrigin: https://evil.example\r\n"));
  expect_401("", absl::StrCat("/tickets?ticket=", Ticket()));
  expect_401("", absl::StrCat("/tickets?token=", issuer_->Token(kOrders)));
  expect_401(BearerHeader(Ticket()));
  EXPECT_EQ(Fetch(bridge_->http_port(), "GET", "/events?topic=orders.1", BearerHeader(Ticket())).status, 401)
      << "a ticket is no token";
  EXPECT_EQ(Fetch(bridge_->http_port(), "GET", Target(issuer_->Token(kOrders))).status, 401) << "nor a token a ticket";
}

TEST_F(Tickets, AreAskedForWithJson) {
  const std::string bearer = issuer_->Bearer(kOrders);
  EXPECT_EQ(Post(*bridge_, bearer).status, 415);
  EXPECT_EQ(Post(*bridge_, bearer, "").status, 415);
  EXPECT_EQ(Post(*bridge_, bearer + "Content-Type: text/plain\r\n").status, 415);
  EXPECT_EQ(Post(*bridge_, absl::StrCat(bearer, kJson), R"({"topics": ["a"]})").status, 400);
  EXPECT_EQ(Post(*bridge_, absl::StrCat(bearer, kJson), "x").status, 400);
  EXPECT_EQ(Fetch(bridge_->http_port(), "GET", "/tickets", bearer).status, 405);
}

TEST_F(Tickets, PagesOfAllowedOriginsGetThemAfterAPreflight) {
  const std::string origin = "Origin: https://app.example\r\n";
  const HttpResponse preflight =
      Fetch(bridge_->http_port(), "OPTIONS", "/tickets", origin + "Access-Control-Request-Method: POST\r\n");
  EXPECT_EQ(preflight.status, 204);
  EXPECT_EQ(preflight.Header("Access-Control-Allow-Methods"), "POST, OPTIONS");
  EXPECT_THAT(preflight.Header("Access-Control-Allow-Headers"), HasSubstr("Authorization"));
  const HttpResponse response = Post(*bridge_, absl::StrCat(origin, issuer_->Bearer(kOrders), kJson));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.Header("Access-Control-Allow-Origin"), "https://app.example");
}

TEST_F(Tickets, ATokenWithTooManyPatternsGetsNoneAndIsTold) {
  std::vector<std::string> patterns;
  for (int i = 0; i < 150; ++i) {
    patterns.push_back(absl::StrCat("\"a.long.pattern.of.orders.", i, ".>\""));
  }
  const HttpResponse response = Post(*bridge_, absl::StrCat(issuer_->Bearer(absl::StrJoin(patterns, ",")), kJson));
  EXPECT_EQ(response.status, 400);
  EXPECT_THAT(response.body, HasSubstr("fit in a URL"));
}

TEST_F(Tickets, TheirRefusalsAreCounted) {
  const auto refused = [](const char* reason) {
    return bridge_->Metric(absl::StrCat("sse_bridge_tickets_refused_total{reason=\"", reason, "\"}"));
  };
  const double unauthenticated = refused("unauthenticated");
  const double bad = refused("bad_request");
  Post(*bridge_, kJson);
  Post(*bridge_, "");
  EXPECT_EQ(refused("unauthenticated"), unauthenticated + 1);
  EXPECT_EQ(refused("bad_request"), bad + 1);
}

TEST(TicketsOfReplicas, OneThatSharesTheSecretTakesTheOthers) {
  const TokenIssuer issuer;
  const TokenIssuer tickets("the secret of tickets, of 32 bytes and more");
  const std::vector<std::string> settings =
      issuer.Settings({absl::StrCat("auth.tickets.secret_file=", tickets.secret_path())});
  const BridgeProcess one(settings);
  const BridgeProcess other(settings);
  const std::string ticket = TicketFrom(one, issuer.Bearer(kOrders));
  SseClient client(other.http_port(), Target(ticket));
  client.ReadOpen();
  EXPECT_EQ(Fetch(other.http_port(), "GET", Target(ticket)).status, 401);
  const BridgeProcess stranger(issuer.Settings());
  EXPECT_EQ(Fetch(stranger.http_port(), "GET", Target(ticket)).status, 401);
}

TEST(TicketsOff, HaveNoRouteAndNoParameter) {
  const TokenIssuer issuer;
  const BridgeProcess bridge(issuer.Settings({"auth.tickets.enabled=off"}));
  EXPECT_EQ(Post(bridge, absl::StrCat(issuer.Bearer(kOrders), kJson)).status, 404);
  EXPECT_THAT(Fetch(bridge.http_port(), "GET", Target("x")).body, HasSubstr("is not known"));
  const BridgeProcess without_keys;
  EXPECT_EQ(Post(without_keys, kJson).status, 404);
}

}  // namespace
}  // namespace bridge::test
