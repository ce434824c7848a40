// Clients that pretend: to be of another origin, another name, another address.
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/hostile/attacked.h"
#include "tests/support/sse_client.h"

namespace bridge::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kPreflight =
    "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n";

class ForeignOrigins : public Attacked {
 protected:
  explicit ForeignOrigins(
      const std::vector<std::string>& settings = {"http.cors.allowed_origins=[\"https://app.example\"]",
                                                  "http.cors.allow_credentials=true"})
      : Attacked(settings) {}

  void ExpectNothingAllowed(const std::string& origin) const {
    const std::string header = absl::StrCat("Origin: ", origin, "\r\n");
    const auto expect = [&](const std::string& head) {
      EXPECT_THAT(head, HasSubstr("HTTP/1.1 ")) << origin;
      EXPECT_THAT(head, Not(HasSubstr("Access-Control-"))) << origin;
    };
    expect(Fetch(bridge_.http_port(), "GET", "/events", header).head);
    expect(Fetch(bridge_.http_port(), "GET", "/", header).head);
    expect(Fetch(bridge_.http_port(), "POST", "/events", header, "{}").head);
    expect(
        Fetch(bridge_.http_port(), "POST", "/events", absl::StrCat(header, "Content-Encoding: gzip\r\n"), "{}").head);
    expect(Fetch(bridge_.http_port(), "OPTIONS", "/events", absl::StrCat(header, kPreflight)).head);
    SseClient client(bridge_.http_port(), {.target = "/events?topic=a", .headers = header});
    expect(client.Head().head);
  }
};

TEST_F(ForeignOrigins, MayReadNothingHoweverMuchTheyLookLikeAnAllowedOne) {
  for (const std::string origin : {"null",
                                   "https://evil.example",
                                   "https://app.example.evil.example",
                                   "https://evilapp.example",
                                   "https://app.exampl",
                                   "https://app.example.",
                                   "https://app.example:443",
                                   "https://app.example:8443",
                                   "http://app.example",
                                   "app.example",
                                   "https://app.example/",
                                   "https://app.example@evil.example",
                                   "https://app.example, https://evil.example",
                                   "https://evil.example, https://app.example",
                                   "https://APP.EXAMPLE",
                                   "https://sub.app.example",
                                   "*",
                                   "https://*.example",
                                   "\"https://app.example\"",
                                   "https://app.example\xc2\xa0",
                                   ""}) {
    ExpectNothingAllowed(origin);
  }
}

class NoOrigins : public ForeignOrigins {
 protected:
  NoOrigins() : ForeignOrigins({}) {}
};

TEST_F(NoOrigins, MayReadAnythingWhereNoneAreConfigured) {
  for (const std::string origin : {"null", "https://evil.example", "http://localhost", "http://127.0.0.1:8080", "*"}) {
    ExpectNothingAllowed(origin);
  }
}

class OtherNames : public Attacked {
 protected:
  OtherNames() : Attacked({"http.allowed_hosts=[\"bridge.example\"]"}) {}

  int StatusFor(absl::string_view target, absl::string_view host) const {
    return ParseResponse(
               Exchange(absl::StrCat("GET ", target, " HTTP/1.1\r\nHost: ", host, "\r\nConnection: close\r\n\r\n")))
        .status;
  }
};

// A page of another name that resolves to this machine (DNS rebinding) says that name.
TEST_F(OtherNames, AreMisdirected) {
  for (const std::string host : {"evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.evil.example",
                                 "evillocalhost", "localhost.", "127.0.0.1.nip.io", "bridge.example.evil.example",
                                 "evilbridge.example", "[evil]", "0x7f000001.example"}) {
    for (const std::string target : {"/nothing", "/events?topic=a", "/", "/console/app.js"}) {
      EXPECT_EQ(StatusFor(target, host), 421) << host << target;
    }
  }
  EXPECT_THAT(Exchange("GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"),
              HasSubstr("http.allowed_hosts"));
}

TEST_F(OtherNames, AreMisdirectedAlsoInTheTarget) {
  EXPECT_EQ(StatusFor("http://evil.example/nothing", "localhost"), 421);
  EXPECT_EQ(StatusFor("http://localhost/nothing", "evil.example"), 404);  // RFC 9112 §3.2.2
}

TEST_F(OtherNames, ThatAreNoneAreRefused) {
  for (const std::string host : {"", " ", "local host", "localhost:x", "localhost:80:80", "localhost:123456",
                                 "localhost,evil", "user@localhost", "[::1", "localhost/", "\xff"}) {
    EXPECT_EQ(StatusFor("/nothing", host), 400) << host;
  }
  for (const std::string target :
       {"http:///nothing", "http://user@localhost/", "http://localhost:x/", "http://[::1/"}) {
    EXPECT_EQ(StatusFor(target, "localhost"), 400) << target;
  }
}

TEST_F(OtherNames, OfTheBridgeItselfAreServed) {
  for (const std::string host :
       {"localhost", "LOCALHOST:80", "127.0.0.1:8080", "[::1]:8080", "app.localhost", "Bridge.Example"}) {
    EXPECT_EQ(StatusFor("/nothing", host), 404) << host;
  }
}

class Proxies : public Attacked {};

// The bridge believes no header about who asks for what: neither those that its library makes up, nor those of proxies.
TEST_F(Proxies, AreBelievedInNothing) {
  const auto body_of = [&](const std::string& target, const std::string& headers) {
    const HttpResponse response = Fetch(bridge_.http_port(), "GET", target, headers);
    EXPECT_THAT(response.head, Not(HasSubstr("6.6.6.6")));
    return absl::StrCat(response.status, " ", response.body);
  };
  for (const std::string target : {"/nothing", "/events", "/"}) {
    const std::string plain = body_of(target, "");
    for (const std::string header :
         {"REMOTE_ADDR: 6.6.6.6", "REMOTE_PORT: 1", "LOCAL_ADDR: 6.6.6.6", "LOCAL_PORT: 1", "X-Forwarded-For: 6.6.6.6",
          "Forwarded: for=6.6.6.6;host=evil.example", "X-Real-IP: 6.6.6.6", "X-Forwarded-Host: evil.example",
          "X-Forwarded-Proto: https", "X-Original-URL: /console/app.js", "X-Rewrite-URL: /console/app.js",
          "X-HTTP-Method-Override: POST", "EXCEPTION_WHAT: 6.6.6.6"}) {
      EXPECT_EQ(body_of(target, absl::StrCat(header, "\r\n")), plain) << header;
    }
  }
}

}  // namespace
}  // namespace bridge::test
