#include <memory>
#include <string>
#include <vector>

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
using ::testing::Not;
using ::testing::StartsWith;

class Requests : public ::testing::Test {
 protected:
  // Sends bytes as they are, and returns all that comes back; the connection has to end, and not by a reset.
  std::string Exchange(const std::string& bytes) {
    RawConnection connection(bridge_->http_port());
    connection.Send(bytes);
    const auto answer = connection.ReceiveToEnd();
    EXPECT_TRUE(answer.has_value()) << "the connection stays open";
    EXPECT_FALSE(connection.was_reset());
    return answer.value_or("");
  }

  static void SetUpTestSuite() { bridge_ = new BridgeProcess({"http.head_timeout=1s", "http.idle_timeout=2s"}); }
  static void TearDownTestSuite() { delete bridge_; }

  static BridgeProcess* bridge_;
};
BridgeProcess* Requests::bridge_ = nullptr;

TEST_F(Requests, UnknownPathsAndMethodsGetAProblem) {
  EXPECT_EQ(Fetch(bridge_->http_port(), "GET", "/nothing").status, 404);
  EXPECT_EQ(Fetch(bridge_->http_port(), "GET", "/../etc/passwd").status, 404);
  EXPECT_EQ(Fetch(bridge_->http_port(), "POST", "/nothing", "", "x").status, 404);
  const HttpResponse put = Fetch(bridge_->http_port(), "PUT", "/events?topic=a");
  EXPECT_EQ(put.status, 405);
  EXPECT_EQ(put.Header("Allow"), "GET, HEAD, OPTIONS, POST");
  EXPECT_EQ(put.Header("Content-Type"), "application/problem+json");
}

TEST_F(Requests, HeadHasTheHeadersOfGet) {
  const HttpResponse response = Fetch(bridge_->http_port(), "HEAD", "/events?topic=a");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.Header("Content-Type"), "text/event-stream");
  EXPECT_EQ(response.body, "");
  EXPECT_EQ(bridge_->Metric("sse_bridge_event_streams"), 0);
}

TEST_F(Requests, ConnectionsAreKeptAndPipelinedRequestsAnsweredInOrder) {
  RawConnection connection(bridge_->http_port());
  const std::string get = "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n";
  std::string many;
  for (int i = 0; i < 50; ++i) {
    many += get;
  }
  connection.Send(many + "GET /events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  const std::string all = connection.ReceiveToEnd().value_or("");
  size_t answers = 0;
  for (size_t at = all.find("HTTP/1.1 404"); at != std::string::npos; at = all.find("HTTP/1.1 404", at + 1)) {
    ++answers;
  }
  EXPECT_EQ(answers, 50U);
  EXPECT_THAT(all.substr(all.rfind("HTTP/1.1 ")), StartsWith("HTTP/1.1 400"));
}

TEST_F(Requests, RangeIsIgnored) {
  for (const std::string range : {"bytes=0-10", "bytes=0-1,3-4,6-7", "bytes=", "x=1", "bytes=1-2-3"}) {
    SseClient client(bridge_->http_port(),
                     {.target = "/events?topic=a", .headers = absl::StrCat("Range: ", range, "\r\n")});
    EXPECT_EQ(client.Head().status, 200) << range;
    EXPECT_EQ(client.Head().Header("Content-Type"), "text/event-stream");
    client.ReadOpen();
  }
}

struct BadRequest {
  std::string name;
  std::string bytes;
  int status;
};

class RequestsRefused : public Requests, public ::testing::WithParamInterface<BadRequest> {};

TEST_P(RequestsRefused, WithAnAnswerThatArrivesAndAnEndOfTheConnection) {
  const HttpResponse response = ParseResponse(Exchange(GetParam().bytes));
  EXPECT_EQ(response.status, GetParam().status) << response.body;
  EXPECT_EQ(response.Header("Content-Type"), "application/problem+json");
  EXPECT_EQ(response.Header("Connection"), "close");
}

const char* const kGet = "GET /events?topic=a HTTP/1.1\r\nHost: localhost\r\n";
const char* const kPost = "POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";

std::string Headers(size_t count) {
  std::string headers;
  for (size_t i = 0; i < count; ++i) {
    absl::StrAppend(&headers, "X-", i, ": 1\r\n");
  }
  return headers;
}

INSTANTIATE_TEST_SUITE_P(
    All, RequestsRefused,
    ::testing::Values(
        BadRequest{"LargeHead", absl::StrCat(kGet, "X: ", std::string(20000, 'x'), "\r\n\r\n"), 431},
        BadRequest{"EndlessLine", absl::StrCat("GET /", std::string(1 << 20, 'a')), 431},
        BadRequest{"LongRequestLine", absl::StrCat("GET /", std::string(8200, 'a'), " HTTP/1.1\r\nHost: a\r\n\r\n"),
                   414},
        BadRequest{"LongHeader", absl::StrCat(kGet, "X: ", std::string(8200, 'x'), "\r\n\r\n"), 431},
        BadRequest{"ManyHeaders", absl::StrCat(kGet, Headers(150), "\r\n"), 431},
        BadRequest{"BareLineFeed", "GET /events?topic=a HTTP/1.1\nHost: localhost\n\n", 400},
        BadRequest{"FoldedHeader", absl::StrCat(kGet, "X: 1\r\n 2\r\n\r\n"), 400},
        BadRequest{"SpaceBeforeColon", absl::StrCat(kGet, "X : 1\r\n\r\n"), 400},
        BadRequest{"NulInHeader", absl::StrCat(kGet, "X: a", std::string(1, '\0'), "b\r\n\r\n"), 400},
        BadRequest{"NoHost", "GET /events?topic=a HTTP/1.1\r\n\r\n", 400},
        BadRequest{"TwoHosts", absl::StrCat(kGet, "Host: localhost\r\n\r\n"), 400},
        BadRequest{"TwoLengths", absl::StrCat(kPost, "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"), 400},
        BadRequest{"LengthWithChunks",
                   absl::StrCat(kPost, "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400},
        BadRequest{"SignedLength", absl::StrCat(kPost, "Content-Length: +2\r\n\r\n{}"), 400},
        BadRequest{"UnknownCoding", absl::StrCat(kPost, "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), 501},
        BadRequest{"BadChunkSize", absl::StrCat(kPost, "Transfer-Encoding: chunked\r\n\r\nxyz\r\n"), 400},
        BadRequest{"HugeChunkSize", absl::StrCat(kPost, "Transfer-Encoding: chunked\r\n\r\nfffffffff\r\n"), 400},
        BadRequest{"LargeChunk", absl::StrCat(kPost, "Transfer-Encoding: chunked\r\n\r\nfffff\r\n"), 413},
        BadRequest{"ChunkWithoutEnd", absl::StrCat(kPost, "Transfer-Encoding: chunked\r\n\r\n2\r\n{}{}"), 400},
        BadRequest{"LargeBody", absl::StrCat(kPost, "Content-Length: 100000\r\n\r\n", std::string(100'000, 'x')), 413},
        BadRequest{"CompressedBody", absl::StrCat(kPost, "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"), 415},
        BadRequest{"UnknownExpectation", absl::StrCat(kPost, "Expect: tea\r\nContent-Length: 2\r\n\r\n{}"), 417},
        BadRequest{"UnknownMethod", "BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n", 501},
        BadRequest{"Http2Preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
        BadRequest{"NulInPath", "GET /%00 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
        BadRequest{"HalfAnEscape", "GET /%f HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
        BadRequest{"TlsHello", std::string("\x16\x03\x01\x02\x00\x01\n\n", 8), 400}),
    [](const auto& test) { return test.param.name; });

TEST_F(Requests, LongestLegalRequestLineIsServed) {
  const std::string target = absl::StrCat("/events?topic=a&type=", std::string(100, 't'), std::string(7900, '&'));
  SseClient client(bridge_->http_port(), target);
  EXPECT_EQ(client.Head().status, 200);
  const std::string path = absl::StrCat("/", std::string(8000, 'a'), "*.*");
  EXPECT_EQ(Fetch(bridge_->http_port(), "GET", path).status, 404);
  EXPECT_EQ(Fetch(bridge_->http_port(), "POST", path, "", "x").status, 404);
}

TEST_F(Requests, LongestLegalHeaderIsServed) {
  // The blank behind the colon is not the client's.
  const std::string header = absl::StrCat("X:", std::string(8187, 'x'), "\r\n");
  EXPECT_EQ(Fetch(bridge_->http_port(), "GET", "/nothing", header).status, 404);
}

TEST_F(Requests, AsManyHeadersAsMayBeAreServed) {
  for (const std::string request : {"GET /nothing HTTP/1.0\r\n", "POST /nothing HTTP/1.0\r\n"}) {
    EXPECT_EQ(ParseResponse(Exchange(absl::StrCat(request, Headers(100), "\r\n"))).status, 404) << request;
  }
}

// The library gives such a line no answer, or one that says nothing.
TEST(RequestsWithLargeHeads, LineThatIsTooLongIsRefusedAsSuch) {
  const BridgeProcess bridge({"http.max_head_bytes=64KiB"});
  for (const size_t size : {9'000U, 40'000U}) {
    const HttpResponse response = Fetch(bridge.http_port(), "GET", absl::StrCat("/", std::string(size, 'a')));
    EXPECT_EQ(response.status, 414);
    EXPECT_THAT(response.body, HasSubstr("8192"));
  }
}

TEST_F(Requests, HeadThatDoesNotComeToItsEndIsTimedOut) {
  RawConnection connection(bridge_->http_port());
  const absl::Time start = absl::Now();
  connection.Send("GET /events?topic=a HTTP/1.1\r\nHost: localhost\r\n");
  EXPECT_EQ(ParseResponse(connection.ReceiveToEnd().value_or("")).status, 408);
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
}

TEST_F(Requests, BodyThatDoesNotComeToItsEndIsTimedOut) {
  RawConnection connection(bridge_->http_port());
  connection.Send(absl::StrCat(kPost, "Content-Length: 10\r\n\r\n{"));
  EXPECT_EQ(ParseResponse(connection.ReceiveToEnd().value_or("")).status, 408);
}

TEST_F(Requests, IdleConnectionIsClosedQuietly) {
  RawConnection connection(bridge_->http_port());
  EXPECT_EQ(connection.ReceiveToEnd(), "");
}

TEST_F(Requests, ExpectContinueIsAnsweredBeforeTheBody) {
  RawConnection connection(bridge_->http_port());
  connection.Send(absl::StrCat(kPost, "Expect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"));
  EXPECT_THAT(connection.Receive(), StartsWith("HTTP/1.1 100 Continue\r\n\r\n"));
  connection.Send("{}");
  EXPECT_EQ(ParseResponse(connection.ReceiveToEnd().value_or("")).status, 400);  // no topic
}

TEST_F(Requests, ChunkedBodyIsRead) {
  SseClient client(bridge_->http_port(), "/events?topic=none");
  RawConnection connection(bridge_->http_port());
  connection.Send(absl::StrCat(kPost, "Transfer-Encoding: chunked\r\n\r\n5;x=y\r\n{\"top\r\n"));
  absl::SleepFor(absl::Milliseconds(50));
  connection.Send("c\r\nics\":[\"a\"]} \r\n0\r\nTrailer: x\r\n\r\n");
  EXPECT_THAT(connection.Receive(), StartsWith("HTTP/1.1 200"));
}

TEST_F(Requests, BodyOfARequestIsNotTakenForTheNextRequest) {
  const std::string smuggled = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
  const std::string all =
      Exchange(absl::StrCat("GET /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: ", smuggled.size(), "\r\n\r\n",
                            smuggled, "GET /also-nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
  size_t answers = 0;
  for (size_t at = all.find("HTTP/1.1 "); at != std::string::npos; at = all.find("HTTP/1.1 ", at + 1)) {
    ++answers;
  }
  EXPECT_EQ(answers, 2U);
}

TEST_F(Requests, HostOfAnotherNameIsMisdirected) {
  const auto with_host = [&](const std::string& host) {
    RawConnection connection(bridge_->http_port());
    connection.Send(absl::StrCat("GET /nothing HTTP/1.1\r\nHost: ", host, "\r\nConnection: close\r\n\r\n"));
    return ParseResponse(connection.ReceiveToEnd().value_or(""));
  };
  EXPECT_EQ(with_host("evil.example").status, 421);
  EXPECT_THAT(with_host("evil.example").body, HasSubstr("http.allowed_hosts"));
  for (const std::string host : {"localhost", "LOCALHOST:80", "127.0.0.1:8080", "[::1]:8080", "app.localhost"}) {
    EXPECT_EQ(with_host(host).status, 404) << host;
  }
}

TEST_F(Requests, HeadersThatTheLibraryAddsCannotBeForged) {
  const HttpResponse response =
      Fetch(bridge_->http_port(), "GET", "/nothing", "REMOTE_ADDR: 6.6.6.6\r\nLOCAL_ADDR: x\r\n");
  EXPECT_EQ(response.status, 404);
  EXPECT_THAT(response.head, Not(HasSubstr("6.6.6.6")));
}

TEST_F(Requests, AdminPortShowsHealthAndMetrics) {
  EXPECT_EQ(Fetch(bridge_->admin_port(), "GET", "/livez").status, 200);
  EXPECT_EQ(Fetch(bridge_->admin_port(), "GET", "/readyz").body, "ok\n");
  EXPECT_THAT(Fetch(bridge_->admin_port(), "GET", "/metrics").body,
              HasSubstr("# TYPE sse_bridge_deliveries_total counter"));
  EXPECT_EQ(Fetch(bridge_->admin_port(), "GET", "/events?topic=a").status, 404);
  EXPECT_EQ(Fetch(bridge_->http_port(), "GET", "/metrics").status, 404);
}

TEST(RequestsWithoutDescriptors, WaitWithoutWorkAndAreServedAsSoonAsThereAreSome) {
  if (!CanMeasureMemory()) {
    GTEST_SKIP() << "a sanitizer needs descriptors itself: it looks at memory through a pipe";
  }
  BridgeProcess bridge;
  constexpr size_t kSpare = 5;
  bridge.LimitOpenFiles(bridge.OpenFiles() + kSpare);
  std::vector<std::unique_ptr<RawConnection>> connections;
  for (size_t i = 0; i < 4 * kSpare; ++i) {
    connections.push_back(std::make_unique<RawConnection>(bridge.http_port()));
  }
  ASSERT_TRUE(Eventually([&] { return absl::StrContains(bridge.Log(), "accept_paused"); }));

  const absl::Duration cpu_time = bridge.CpuTime();
  const auto is_busy = [&] { return bridge.CpuTime() - cpu_time > absl::Milliseconds(50); };
  EXPECT_FALSE(Eventually(is_busy, absl::Seconds(1)));

  connections.clear();
  EXPECT_EQ(Fetch(bridge.http_port(), "GET", "/nothing").status, 404);
}

TEST(RequestsCors, OriginsThatAreAllowedMayReadAlsoErrorsAndOthersMayNot) {
  const BridgeProcess bridge(
      {"http.cors.allowed_origins=[\"https://app.example\"]", "http.cors.allow_credentials=true"});
  const auto from = [&](const std::string& origin, const std::string& method, const std::string& target,
                        const std::string& more = "") {
    return Fetch(bridge.http_port(), method, target, absl::StrCat("Origin: ", origin, "\r\n", more));
  };
  const HttpResponse error = from("https://app.example", "GET", "/events");
  EXPECT_EQ(error.status, 400);
  EXPECT_EQ(error.Header("Access-Control-Allow-Origin"), "https://app.example");
  EXPECT_EQ(error.Header("Access-Control-Allow-Credentials"), "true");
  EXPECT_EQ(error.Header("Vary"), "Origin");
  const HttpResponse other = from("https://evil.example", "GET", "/events");
  EXPECT_EQ(other.Header("Access-Control-Allow-Origin"), "");
  EXPECT_EQ(other.Header("Vary"), "Origin");

  const std::string asked = "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n";
  const HttpResponse preflight = from("https://app.example", "OPTIONS", "/events", asked);
  EXPECT_EQ(preflight.status, 204);
  EXPECT_THAT(preflight.Header("Access-Control-Allow-Headers"), HasSubstr("Authorization"));
  EXPECT_THAT(preflight.Header("Access-Control-Allow-Headers"), HasSubstr("Last-Event-ID"));
  EXPECT_THAT(preflight.Header("Access-Control-Allow-Methods"), HasSubstr("POST"));
  EXPECT_EQ(from("https://evil.example", "OPTIONS", "/events", asked).Header("Access-Control-Allow-Methods"), "");
}

TEST(RequestsCors, AnyOriginIsAnsweredWithAStar) {
  const BridgeProcess bridge({"http.cors.allowed_origins=[\"*\"]"});
  EXPECT_EQ(Fetch(bridge.http_port(), "GET", "/events", "Origin: https://x.example\r\n")
                .Header("Access-Control-Allow-Origin"),
            "*");
}

}  // namespace
}  // namespace bridge::test
