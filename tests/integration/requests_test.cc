#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/bridge_process.h"
#include "tests/support/raw_http.h"
#include "tests/support/sse_client.h"

namespace bridge::test {
namespace {

using ::testing::HasSubstr;
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

  static void SetUpTestSuite() { bridge_ = new BridgeProcess(); }
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

TEST_F(Requests, NothingIsCompressedOnAnEventLoop) {
  for (const std::string encoding : {"br", "gzip", "deflate", "zstd", "br;q=0, *"}) {
    const HttpResponse response =
        Fetch(bridge_->http_port(), "GET", "/", absl::StrCat("Accept-Encoding: ", encoding, "\r\n"));
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.Header("Content-Encoding"), "") << encoding;
    EXPECT_THAT(response.body, HasSubstr("<html"));
  }
}

TEST_F(Requests, AnswersWithoutABodySayNothingOfItsLength) {
  const HttpResponse options = Fetch(bridge_->http_port(), "OPTIONS", "/events", "");
  EXPECT_EQ(options.status, 204);
  EXPECT_EQ(options.Header("Content-Length"), "");
  const std::string etag = Fetch(bridge_->http_port(), "GET", "/").Header("ETag");
  ASSERT_NE(etag, "");
  const HttpResponse same = Fetch(bridge_->http_port(), "GET", "/", absl::StrCat("If-None-Match: ", etag, "\r\n"));
  EXPECT_EQ(same.status, 304);
  EXPECT_EQ(same.Header("Content-Length"), "");
}

TEST_F(Requests, APostSaysEverythingInItsBody) {
  const HttpResponse response = Fetch(bridge_->http_port(), "POST", "/events?replay=all",
                                      "Content-Type: application/json\r\n", R"({"topics": ["a"]})");
  EXPECT_EQ(response.status, 400);
  EXPECT_THAT(response.body, HasSubstr("a POST says everything in its body"));
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

const char* const kPost = "POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";

std::string Headers(size_t count) {
  std::string headers;
  for (size_t i = 0; i < count; ++i) {
    absl::StrAppend(&headers, "X-", i, ": 1\r\n");
  }
  return headers;
}

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

TEST_F(Requests, ExpectContinueIsAnsweredBeforeTheBody) {
  RawConnection connection(bridge_->http_port());
  connection.Send(absl::StrCat(kPost, "Expect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"));
  EXPECT_THAT(connection.Receive(), StartsWith("HTTP/1.1 100 Continue\r\n\r\n"));
  connection.Send("{}");
  EXPECT_EQ(ParseResponse(connection.ReceiveToEnd().value_or("")).status, 400);  // no topic
}

TEST_F(Requests, ChunkedBodyIsRead) {
  const SseClient client(bridge_->http_port(), "/events?topic=none");
  RawConnection connection(bridge_->http_port());
  connection.Send(absl::StrCat(kPost, "Transfer-Encoding: chunked\r\n\r\n5;x=y\r\n{\"top\r\n"));
  absl::SleepFor(absl::Milliseconds(50));  // so that the rest comes in another packet
  connection.Send("c\r\nics\":[\"a\"]} \r\n0\r\nTrailer: x\r\n\r\n");
  EXPECT_THAT(connection.Receive(), StartsWith("HTTP/1.1 200"));
}

TEST_F(Requests, AdminPortShowsHealthAndMetrics) {
  EXPECT_EQ(Fetch(bridge_->admin_port(), "GET", "/livez").status, 200);
  EXPECT_EQ(Fetch(bridge_->admin_port(), "GET", "/readyz").body, "ok\n");
  EXPECT_THAT(Fetch(bridge_->admin_port(), "GET", "/metrics").body,
              HasSubstr("# TYPE sse_bridge_deliveries_total counter"));
  EXPECT_EQ(Fetch(bridge_->admin_port(), "GET", "/events?topic=a").status, 404);
  EXPECT_EQ(Fetch(bridge_->http_port(), "GET", "/metrics").status, 404);
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
