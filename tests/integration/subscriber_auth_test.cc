// Who may open which event stream.
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/bridge_process.h"
#include "tests/support/http_origin.h"
#include "tests/support/publisher.h"
#include "tests/support/raw_http.h"
#include "tests/support/sse_client.h"
#include "tests/support/token_issuer.h"
#include "tests/support/tokens.h"

namespace bridge::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kOrders[] = R"("orders.>")";
constexpr char kBareChallenge[] = "Bearer realm=\"grpc-sse-bridge\"";

class SubscriberAuth : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    issuer_ = new TokenIssuer;
    bridge_ = new BridgeProcess(issuer_->Settings({"auth.jwt.audience=bridge", "auth.jwt.cookie=session",
                                                   "auth.jwt.query=token", "auth.anonymous.subscribe=['public.*']",
                                                   "http.cors.allowed_origins=['https://app.example']"}));
  }
  static void TearDownTestSuite() {
    delete bridge_;
    delete issuer_;
  }

  static std::string Token(absl::string_view patterns = kOrders, absl::Duration lifetime = absl::Hours(1)) {
    return TokenWith(absl::StrCat(R"("aud": "bridge", "exp": )", absl::ToUnixSeconds(absl::Now() + lifetime)),
                     patterns);
  }
  static std::string TokenWith(absl::string_view claims, absl::string_view patterns = kOrders) {
    return issuer_->TokenWith(claims, patterns);
  }
  static std::string Exp() { return absl::StrCat(R"("exp": )", absl::ToUnixSeconds(absl::Now() + absl::Hours(1))); }

  static HttpResponse Get(absl::string_view target, absl::string_view headers = "") {
    return Fetch(bridge_->http_port(), "GET", target, headers);
  }
  // The stream opens, and the client gets what is published on the topic.
  static void ExpectOpens(const std::string& target, const std::string& headers,
                          const std::string& topic = "orders.1") {
    SseClient client(bridge_->http_port(), {.target = target, .headers = headers});
    ASSERT_EQ(client.Head().status, 200) << target;
    client.ReadOpen();
    Publisher publisher(bridge_->grpc_target());
    publisher.Publish(TextEvent(topic, "x"));
    EXPECT_EQ(client.NextData(1), std::vector<std::string>{"x"});
  }

  static TokenIssuer* issuer_;
  static BridgeProcess* bridge_;
};
TokenIssuer* SubscriberAuth::issuer_ = nullptr;
BridgeProcess* SubscriberAuth::bridge_ = nullptr;

TEST_F(SubscriberAuth, ATokenOpensWhatItNamesInEachPlace) {
  const std::string target = "/events?topic=orders.*";
  ExpectOpens(target, BearerHeader(Token()));
  ExpectOpens(target, absl::StrCat("Cookie: session=", Token(), "\r\nSec-Fetch-Site: same-origin\r\n"));
  ExpectOpens(absl::StrCat(target, "&token=", Token()), "");
  SseClient post(bridge_->http_port(), {.target = "/events",
                                        .headers = BearerHeader(Token()),
                                        .method = "POST",
                                        .body = R"({"topics": ["orders.1", "orders.eu.>"]})"});
  post.ReadOpen();
}

TEST_F(SubscriberAuth, NobodyIsAskedForATokenWhereAnonymousClientsMaySubscribe) {
  ExpectOpens("/events?topic=public.*", "", "public.1");
  ExpectOpens("/events?topic=public.1", "Authorization: Basic YTpi\r\n", "public.1");
}

TEST_F(SubscriberAuth, WithoutATokenTheRestIs401AndNamesThePattern) {
  for (const char* const topic : {"orders.1", "public.1&topic=orders.1", ">", "public.>", "*.1"}) {
    const HttpResponse response = Get(absl::StrCat("/events?topic=", topic));
    EXPECT_EQ(response.status, 401) << topic;
    EXPECT_EQ(response.Header("WWW-Authenticate"), kBareChallenge) << "nothing was shown, so nothing is wrong with it";
    EXPECT_EQ(response.Header("Content-Type"), "application/problem+json");
    EXPECT_THAT(response.body, AllOf(HasSubstr("needs a token"), HasSubstr(R"("parameter":"topic")")));
  }
  EXPECT_THAT(Get("/events?topic=public.1&topic=orders.1").body, HasSubstr(R"(subscribing to \"orders.1\" needs)"));
  const HttpResponse post = Fetch(bridge_->http_port(), "POST", "/events", "Content-Type: application/json\r\n",
                                  R"({"topics": ["orders.1"]})");
  EXPECT_EQ(post.status, 401);
  EXPECT_THAT(post.body, HasSubstr(R"("parameter":"topics")"));
}

TEST_F(SubscriberAuth, APatternHasToLieWithinAGrantedOne) {
  const std::string header = BearerHeader(Token(R"("orders.*", "a.>", "b")"));
  for (const char* const topic : {"orders.1", "orders.*", "a.b", "a.*", "a.*.c", "a.b.>", "b"}) {
    SseClient client(bridge_->http_port(), {.target = absl::StrCat("/events?topic=", topic), .headers = header});
    EXPECT_EQ(client.Head().status, 200) << topic;
  }
  for (const char* const topic :
       {"orders.>", "orders.1.2", "a", ">", "*", "*.1", "b.c", "c", "b&topic=c", "public.1"}) {
    const HttpResponse response = Get(absl::StrCat("/events?topic=", topic), header);
    EXPECT_EQ(response.status, 403) << topic;
    EXPECT_THAT(response.Header("WWW-Authenticate"),
                StartsWith(absl::StrCat(kBareChallenge,
                                        ", error=\"insufficient_scope\", error_description=\"subscribing to ")));
    EXPECT_THAT(response.body, AllOf(HasSubstr("is not granted"), HasSubstr(R"("parameter":"topic")")));
  }
  EXPECT_THAT(Get("/events?topic=b&topic=c", header).body, HasSubstr(R"(subscribing to \"c\" is not granted)"));
}

TEST_F(SubscriberAuth, ABadTokenIs401AndToldWhatIsWrong) {
  const TokenIssuer stranger("another secret, of 32 bytes and more than that");
  const std::string none = "eyJhbGciOiJub25lIn0.eyJleHAiOjQxMDI0NDQ4MDAsImJyaWRnZSI6eyJzdWJzY3JpYmUiOlsiPiJdfX0.";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {none, "alg"},
      {"", ""},
      {"nonsense", ""},
      {std::string(4000, 'a'), ""},
      {stranger.TokenWith(absl::StrCat(Exp(), R"(, "aud": "bridge")"), kOrders), "signature is wrong"},
      {Token(kOrders, -absl::Minutes(5)), "has expired"},
      {TokenWith(R"("aud": "bridge")"), "has no exp"},
      {TokenWith(absl::StrCat(Exp(), R"(, "aud": "bridge", "nbf": 4102444800)")), "not valid yet"},
      {TokenWith(Exp()), "aud does not name"},
      {TokenWith(absl::StrCat(Exp(), R"(, "aud": "other")")), "aud does not name"},
      {SignToken(R"({"alg": "HS256", "typ": "dpop+jwt"})", "{}",
                 SecretSigner("a secret of the tests, of 32 bytes and more")),
       "typ is neither"}};
  for (const auto& [token, why] : cases) {
    // Also where anonymous clients may: who shows a token means to be known.
    for (const char* const topic : {"orders.1", "public.1"}) {
      const HttpResponse response = Get(absl::StrCat("/events?topic=", topic), BearerHeader(token));
      EXPECT_EQ(response.status, 401) << token;
      EXPECT_THAT(response.Header("WWW-Authenticate"),
                  StartsWith(absl::StrCat(kBareChallenge, ", error=\"invalid_token\", error_description=\"")));
      EXPECT_THAT(response.Header("WWW-Authenticate"), HasSubstr(why));
      EXPECT_THAT(response.body, HasSubstr(why));
    }
  }
}

TEST_F(SubscriberAuth, ACookieCountsOnlyFromPagesThatMayActForTheUser) {
  const std::string cookie = absl::StrCat("Cookie: a=b; session=", Token(), "\r\n");
  for (const char* const good : {"Sec-Fetch-Site: same-origin\r\n", "Sec-Fetch-Site: same-site\r\n",
                                 "Sec-Fetch-Site: cross-site\r\nOrigin: https://app.example\r\n"}) {
    ExpectOpens("/events?topic=orders.1", cookie + good);
  }
  for (const char* const bad : {"", "Sec-Fetch-Site: none\r\n", "Sec-Fetch-Site: cross-site\r\n",
                                "Sec-Fetch-Site: cross-site\r\nOrigin: https://evil.example\r\n", "Origin: null\r\n"}) {
    const HttpResponse response = Get("/events?topic=orders.1", cookie + bad);
    EXPECT_EQ(response.status, 401) << bad;
    EXPECT_EQ(response.Header("WWW-Authenticate"), kBareChallenge);
    EXPECT_THAT(response.body, AllOf(HasSubstr("the cookie session does not count"), HasSubstr("Sec-Fetch-Site"),
                                     HasSubstr("https"), HasSubstr("http.cors.allowed_origins")));
    ExpectOpens("/events?topic=public.1", cookie + bad, "public.1");  // as without the cookie
  }
  // What stands escaped in another cookie's value is that cookie's.
  for (const std::string separator : {"%3B", "%3b%20", "%u003B"}) {
    const std::string hidden = absl::StrCat("Cookie: a=b", separator, "session=", Token(), "\r\n");
    EXPECT_EQ(Get("/events?topic=orders.1", hidden + "Sec-Fetch-Site: same-origin\r\n").status, 401);
  }
  EXPECT_THAT(Get("/events?topic=orders.1").body, Not(HasSubstr("cookie")));
}

TEST_F(SubscriberAuth, TwoCredentialsOfAKindAre400) {
  const std::string bearer = BearerHeader(Token());
  const HttpResponse two = Get("/events?topic=orders.1", bearer + bearer);
  EXPECT_EQ(two.status, 400);
  EXPECT_THAT(two.Header("WWW-Authenticate"), HasSubstr("error=\"invalid_request\""));
  EXPECT_EQ(Get("/events?topic=orders.1&ticket=a&ticket=b").status, 400);
}

TEST_F(SubscriberAuth, PagesOfOtherOriginsMayReadWhyTheyAreRefused) {
  const HttpResponse response = Get("/events?topic=orders.1", "Origin: https://app.example\r\n");
  EXPECT_EQ(response.status, 401);
  EXPECT_EQ(response.Header("Access-Control-Allow-Origin"), "https://app.example");
  EXPECT_THAT(response.Header("Access-Control-Expose-Headers"), HasSubstr("WWW-Authenticate"));
}

TEST_F(SubscriberAuth, RefusalsAreCountedByReason) {
  const auto refused = [](const char* reason) {
    return bridge_->Metric(absl::StrCat("sse_bridge_event_streams_refused_total{reason=\"", reason, "\"}"));
  };
  const double unauthenticated = refused("unauthenticated");
  const double forbidden = refused("forbidden");
  Get("/events?topic=orders.1");
  Get("/events?topic=orders.1", BearerHeader("x"));
  Get("/events?topic=other", BearerHeader(Token()));
  EXPECT_EQ(refused("unauthenticated"), unauthenticated + 2);
  EXPECT_EQ(refused("forbidden"), forbidden + 1);
}

TEST_F(SubscriberAuth, ABridgeWithKeysHasNoGuardAgainstRebindingBecauseATokenIsNeeded) {
  const auto with_host = [](uint16_t port) {
    RawConnection connection(port);
    connection.Send("GET /events?topic=orders.1 HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    return ParseResponse(connection.ReceiveToEnd().value_or("")).status;
  };
  EXPECT_EQ(with_host(bridge_->http_port()), 401);
  const BridgeProcess open;
  EXPECT_EQ(with_host(open.http_port()), 421);
}

TEST(SubscriberAuthWithoutKeys, NothingThatAClientShowsIsLookedAt) {
  const BridgeProcess bridge;
  SseClient client(bridge.http_port(),
                   {.target = "/events?topic=a",
                    .headers = "Authorization: Bearer x\r\nAuthorization: Bearer y\r\nCookie: session=z\r\n"});
  client.ReadOpen();
  EXPECT_THAT(Fetch(bridge.http_port(), "GET", "/events?topic=a&ticket=x").body,
              HasSubstr("\\\"ticket\\\" is not known"));
}

TEST(SubscriberAuthKeys, AKeyThatIsBeingFetchedIsAPassingRefusalAndThenWorks) {
  const KeyPair& pair = SharedRsaKeyPair();
  std::atomic<bool> hangs{true};
  const HttpOrigin origin([&](int fd, const std::atomic<bool>& is_stopping) {
    while (hangs && !is_stopping) {
      absl::SleepFor(absl::Milliseconds(5));  // it hangs
    }
    HttpOrigin::Send(fd, "200 OK", "Content-Type: application/json\r\n",
                     absl::StrCat(R"({"keys": [)", ToJwk(pair, R"(, "kid": "one")"), "]}"));
  });
  const BridgeProcess bridge({absl::StrCat("auth.jwt.jwks_url='", origin.url(), "'")});
  const std::string header =
      BearerHeader(SignToken(R"({"alg": "RS256", "kid": "one"})",
                             absl::StrCat(R"({"exp": )", absl::ToUnixSeconds(absl::Now() + absl::Hours(1)),
                                          R"(, "bridge": {"subscribe": ["a"]}})"),
                             pair.Signer()));

  SseClient get(bridge.http_port(), {.target = "/events?topic=a", .headers = header});
  EXPECT_EQ(get.Head().status, 200) << "an EventSource never comes back after another status";
  const auto closing = get.Next();
  ASSERT_TRUE(closing);
  EXPECT_EQ(closing->type, "bridge.closing");
  EXPECT_THAT(closing->data, HasSubstr("keys_pending"));
  EXPECT_EQ(closing->id, "");
  EXPECT_TRUE(get.parser().retry_ms());
  EXPECT_TRUE(get.WaitForEnd());
  const HttpResponse post = Fetch(bridge.http_port(), "POST", "/events", header + "Content-Type: application/json\r\n",
                                  R"({"topics": ["a"]})");
  EXPECT_EQ(post.status, 503);
  EXPECT_NE(post.Header("Retry-After"), "");
  EXPECT_EQ(post.Header("WWW-Authenticate"), "");
  EXPECT_EQ(bridge.Metric("sse_bridge_event_streams_refused_total{reason=\"keys_pending\"}"), 2);

  const HttpResponse ticket =
      Fetch(bridge.http_port(), "POST", "/tickets", header + "Content-Type: application/json\r\n", "{}");
  EXPECT_EQ(ticket.status, 503);
  EXPECT_NE(ticket.Header("Retry-After"), "");
  EXPECT_EQ(bridge.Metric("sse_bridge_tickets_refused_total{reason=\"keys_pending\"}"), 1);

  hangs = false;
  EXPECT_TRUE(Eventually([&] {
    SseClient client(bridge.http_port(), {.target = "/events?topic=a", .headers = header});
    const auto first = client.Next();
    return first.has_value() && first->type == "bridge.open";
  }));
}

TEST(SubscriberAuthKeys, AKeyFileThatChangesEndsNoStream) {
  TokenIssuer issuer;
  const BridgeProcess bridge(issuer.Settings());
  const std::string old = issuer.Bearer(kOrders);
  SseClient open(bridge.http_port(), {.target = "/events?topic=orders.1", .headers = old});
  open.ReadOpen();
  issuer.Change("the next secret of the tests, of 32 bytes and more");
  const auto status = [&](const std::string& header) {
    SseClient client(bridge.http_port(), {.target = "/events?topic=orders.1", .headers = header});
    return client.Head().status;
  };
  EXPECT_TRUE(Eventually([&] { return status(issuer.Bearer(kOrders)) == 200; }));
  EXPECT_EQ(status(old), 401);
  Publisher publisher(bridge.grpc_target());
  publisher.Publish(TextEvent("orders.1", "still there"));
  EXPECT_EQ(open.NextData(1), std::vector<std::string>{"still there"});
}

}  // namespace
}  // namespace bridge::test
