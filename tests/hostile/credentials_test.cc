// Tokens and tickets that are stolen, forged or made to be more than text, and servers of keys that do not behave.
#include <atomic>
#include <memory>
#include <string>
#include <sys/socket.h>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/hostile/attacked.h"
#include "tests/support/crowd.h"
#include "tests/support/http_origin.h"
#include "tests/support/sse_client.h"
#include "tests/support/token_issuer.h"
#include "tests/support/tokens.h"

namespace bridge::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kOrders[] = R"("orders.>")";
constexpr char kSecret[] = "a secret of the tests, of 32 bytes and more";
constexpr char kJson[] = "Content-Type: application/json\r\n";

std::string Get(absl::string_view target, absl::string_view headers = "") {
  return absl::StrCat("GET ", target, " HTTP/1.1\r\nHost: localhost\r\n", headers, "\r\n");
}

// The bystander shows no token.
std::vector<std::string> ForTheBystander(std::vector<std::string> settings) {
  settings.push_back(absl::StrCat("auth.anonymous.subscribe=[", Bystander::kTopic, "]"));
  return settings;
}

// Is there before the bridge that reads its secret.
class WithIssuer {
 protected:
  TokenIssuer issuer_{kSecret};
};

class Credentials : protected WithIssuer, public Attacked {
 protected:
  Credentials() : Attacked(ForTheBystander(issuer_.Settings({"logging.level=debug"}))) {}

  std::string Ticket() const {
    const HttpResponse response =
        Fetch(bridge_.http_port(), "POST", "/tickets", absl::StrCat(issuer_.Bearer(kOrders), kJson), "{}");
    google::protobuf::Struct object;
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(response.body, &object).ok()) << response.body;
    return object.fields().at("ticket").string_value();
  }
  static std::string Target(const std::string& ticket) {
    return absl::StrCat("/events?topic=orders.a&ticket=", ticket);
  }
};

TEST_F(Credentials, ATicketThatAThousandShowAtOnceOpensOneStream) {
  constexpr size_t kThieves = 1000;
  for (int round = 0; round < 3; ++round) {
    Crowd thieves({.port = bridge_.http_port(), .size = kThieves});
    thieves.Send(Get(Target(Ticket())));
    EXPECT_TRUE(Eventually([&] {
      thieves.Receive(SIZE_MAX);
      return thieves.CountAnswered("HTTP/1.1 401 ") == kThieves - 1;
    })) << thieves.CountAnswered("HTTP/1.1 401 ");
    EXPECT_EQ(thieves.CountAnswered("HTTP/1.1 200 "), 1U);
  }
}

TEST_F(Credentials, ATicketIsGoodAsItIsOrNotAtAll) {
  const std::string ticket = Ticket();
  std::vector<std::string> changed = {"",
                                      ".",
                                      "..",
                                      ticket + "=",
                                      ticket + ".",
                                      "%20" + ticket,
                                      ticket + "%00",
                                      ticket.substr(0, ticket.rfind('.')),
                                      ticket.substr(0, ticket.rfind('.') + 1),
                                      ticket.substr(ticket.find('.')),
                                      ticket.substr(0, ticket.size() - 1),
                                      issuer_.Token(kOrders),
                                      std::string(7000, 'a')};
  for (const size_t at : {size_t{0}, ticket.find('.') + 1, ticket.rfind('.') + 1}) {
    changed.push_back(ticket);
    changed.back()[at] = ticket[at] == 'A' ? 'B' : 'A';
  }
  for (const std::string& text : changed) {
    const HttpResponse response = Fetch(bridge_.http_port(), "GET", Target(text));
    EXPECT_THAT(response.status, ::testing::AnyOf(400, 401)) << text;
    EXPECT_LT(response.body.size(), 1000U) << text;
  }
  // None of them has used it up.
  SseClient client(bridge_.http_port(), Target(ticket));
  client.ReadOpen();
}

TEST_F(Credentials, FloodOfForgedTokensIsRefusedAndHoldsUpNobody) {
  constexpr size_t kForgers = 300;
  std::string forged = R"({"exp": 4000000000, "bridge": {"subscribe": ["a")";
  while (forged.size() < 5000) {
    absl::StrAppend(&forged, R"(, "orders.>")");
  }
  forged += "]}}";
  const std::string request = Get("/events?topic=orders.a",
                                  BearerHeader(SignToken(forged, SecretSigner("another secret of 32 bytes or more"))));
  Crowd forgers({.port = bridge_.http_port(), .size = kForgers, .receive_buffer_bytes = 256 << 10});
  const double before = bridge_.Metric("sse_bridge_http_requests_total");
  constexpr double kRequests = 5000;
  EXPECT_TRUE(Eventually(
      [&] {
        forgers.Send(request);
        forgers.Receive(SIZE_MAX);
        return bridge_.Metric("sse_bridge_http_requests_total") >= before + kRequests;
      },
      absl::Seconds(30)));
  EXPECT_EQ(forgers.CountAnswered("HTTP/1.1 401 "), kForgers);
  EXPECT_EQ(bridge_.Metric("sse_bridge_event_streams"), 1) << "the bystander's";
}

// In the words of a token that are told to its client, and in the log.
TEST_F(Credentials, WhatATokenSaysIsNeverAHeaderNorALine) {
  const std::string text = R"(x\"\\\r\nSet-Cookie: injected\r\n\r\n<script>injected</script>\u2028)";
  const std::string good = absl::StrCat(R"("exp": )", absl::ToUnixSeconds(absl::Now() + absl::Hours(1)));
  const std::string grant = R"("bridge": {"subscribe": ["a"]})";
  const auto key = SecretSigner(kSecret);
  std::vector<std::string> tokens;
  for (const std::string& header :
       {absl::StrCat(R"({"alg": "HS256", "kid": ")", text, "\"}"), absl::StrCat(R"({"alg": ")", text, "\"}"),
        absl::StrCat(R"({"alg": "HS256", "typ": ")", text, "\"}"),
        absl::StrCat(R"({"alg": "HS256", "crit": [")", text, "\"]}")}) {
    tokens.push_back(SignToken(header, absl::StrCat("{", good, ", ", grant, "}"), key));
  }
  for (const std::string& payload :
       {absl::StrCat("{", good, R"(, "bridge": {"subscribe": [")", text, "\"]}}"),
        absl::StrCat("{", good, R"(, "sub": ")", text, "\", ", grant, "}"),
        absl::StrCat("{", good, R"(, "iss": ")", text, R"(", "aud": ")", text, "\", ", grant, "}"),
        absl::StrCat(R"({"exp": ")", text, "\", ", grant, "}"), absl::StrCat("{\"", text, "\": 1, ", grant, "}")}) {
    tokens.push_back(SignToken(payload, key));
  }
  for (const std::string& token : tokens) {
    // None lets anybody read orders, whatever else is in it.
    const std::string answer = Exchange(Get("/events?topic=orders.a", BearerHeader(token) + "Connection: close\r\n"));
    const HttpResponse response = ParseResponse(answer);
    EXPECT_THAT(response.status, ::testing::AnyOf(401, 403)) << answer;
    EXPECT_THAT(answer, Not(HasSubstr("\nSet-Cookie"))) << answer;
    EXPECT_THAT(response.body, Not(HasSubstr("<script>"))) << answer;
    EXPECT_THAT(response.Header("WWW-Authenticate"), Not(HasSubstr("\\"))) << answer;
    EXPECT_THAT(bridge_.Log(), Not(HasSubstr("\nSet-Cookie")));
    EXPECT_THAT(bridge_.Log(), Not(HasSubstr(token)));
  }
}

// A server of keys at auth.jwt.jwks_url.
struct KeyServer {
  std::string name;
  HttpOrigin::Answer answer;
};

void PrintTo(const KeyServer& server, std::ostream* out) { *out << server.name; }

class WithKeyServer : public ::testing::WithParamInterface<KeyServer> {
 protected:
  HttpOrigin keys_{GetParam().answer};
};

class KeyServers : public WithKeyServer, public Attacked {
 protected:
  KeyServers()
      : Attacked(
            ForTheBystander({absl::StrCat("auth.jwt.jwks_url='", keys_.url(), "'"), "auth.anonymous.publish=['>']"})) {}
};

TEST_P(KeyServers, ThatDoNotBehaveKeepOnlyTheirOwnClientsWaiting) {
  const std::string bearer = BearerHeader(SignToken(R"({"alg": "RS256", "kid": "one"})",
                                                    R"({"exp": 4000000000, "bridge": {"subscribe": ["orders.>"]}})",
                                                    SharedRsaKeyPair().Signer()));
  ASSERT_TRUE(Eventually([&] { return keys_.requests() > 0; }));
  for (int i = 0; i < 100; ++i) {
    const HttpResponse post =
        Fetch(bridge_.http_port(), "POST", "/events", absl::StrCat(bearer, kJson), R"({"topics": ["orders.a"]})");
    ASSERT_EQ(post.status, 503) << post.body;
    ASSERT_NE(post.Header("Retry-After"), "");
    SseClient get(bridge_.http_port(), {.target = "/events?topic=orders.a", .headers = bearer});
    ASSERT_EQ(get.Head().status, 200);
    const auto closing = get.Next();
    ASSERT_TRUE(closing);
    ASSERT_EQ(closing->type, "bridge.closing");
    ASSERT_THAT(closing->data, HasSubstr("keys_pending"));
  }
  EXPECT_LE(keys_.requests(), 20) << "tokens make it ask no more often";
  if (CanMeasureMemory()) {
    EXPECT_LT(bystander_.PeakGrowthBytes(), uint64_t{20} << 20);
  }
}

void SendForEver(int fd, const std::atomic<bool>& is_stopping, absl::string_view start, const std::string& more) {
  send(fd, start.data(), start.size(), MSG_NOSIGNAL);
  while (!is_stopping && send(fd, more.data(), more.size(), MSG_NOSIGNAL) > 0) {
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, KeyServers,
    ::testing::Values(KeyServer{"ThatHang",
                                [](int /*fd*/, const std::atomic<bool>& is_stopping) {
                                  while (!is_stopping) {
                                    absl::SleepFor(absl::Milliseconds(5));  // how soon it ends
                                  }
                                }},
                      KeyServer{"ThatRedirectToThemselves",
                                [](int fd, const std::atomic<bool>&) {
                                  HttpOrigin::Send(fd, "302 Found", "Location: /keys\r\n", "");
                                }},
                      KeyServer{"ThatRedirectToAFile",
                                [](int fd, const std::atomic<bool>&) {
                                  HttpOrigin::Send(fd, "301 Moved Permanently", "Location: file:///etc/passwd\r\n", "");
                                }},
                      KeyServer{"ThatSendMegabytes",
                                [](int fd, const std::atomic<bool>&) {
                                  HttpOrigin::Send(fd, "200 OK", "", std::string(size_t{16} << 20, ' '));
                                }},
                      KeyServer{"ThatSendWithoutEnd",
                                [](int fd, const std::atomic<bool>& is_stopping) {
                                  SendForEver(fd, is_stopping, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
                                              std::string(4096, ' '));
                                }},
                      KeyServer{"ThatSendHeadersWithoutEnd",
                                [](int fd, const std::atomic<bool>& is_stopping) {
                                  SendForEver(fd, is_stopping, "HTTP/1.1 200 OK\r\n",
                                              absl::StrCat("X: ", std::string(1000, 'x'), "\r\n"));
                                }},
                      KeyServer{"ThatSendDeepJson",
                                [](int fd, const std::atomic<bool>&) {
                                  HttpOrigin::Send(fd, "200 OK", "",
                                                   absl::StrCat(R"({"keys": )", std::string(200'000, '[')));
                                }},
                      KeyServer{
                          "ThatSpeakNoHttp",
                          [](int fd, const std::atomic<bool>&) { send(fd, "\x16\x03\x01\r\n", 5, MSG_NOSIGNAL); }}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace bridge::test
