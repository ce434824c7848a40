// Requests that are malformed, too large, or made to be read in two ways.
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/hostile/attacked.h"
#include "tests/support/crowd.h"
#include "tests/support/sse_client.h"

namespace bridge::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using std::string_literals::operator""s;

const char* const kGet = "GET /events?topic=a HTTP/1.1\r\nHost: localhost\r\n";
const char* const kPost = "POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";

std::string Headers(size_t count) {
  std::string headers;
  for (size_t i = 0; i < count; ++i) {
    absl::StrAppend(&headers, "X-", i, ": 1\r\n");
  }
  return headers;
}

std::string WithHeader(absl::string_view line) { return absl::StrCat(kGet, line, "\r\n\r\n"); }
std::string Get(absl::string_view target) {
  return absl::StrCat("GET ", target, " HTTP/1.1\r\nHost: localhost\r\n\r\n");
}
std::string Chunked(absl::string_view chunks) {
  return absl::StrCat(kPost, "Transfer-Encoding: chunked\r\n\r\n", chunks);
}
std::string WithBody(absl::string_view more_headers, absl::string_view body) {
  return absl::StrCat(kPost, more_headers, "Content-Length: ", body.size(), "\r\n\r\n", body);
}

struct BadRequest {
  std::string name;
  std::string bytes;
  int status;
};

class MalformedRequests : public Attacked, public ::testing::WithParamInterface<BadRequest> {};

TEST_P(MalformedRequests, GetAnAnswerThatArrivesAndAnEndOfTheConnection) {
  // What a request leaves behind would add up.
  constexpr int kTimes = 50;
  for (int i = 0; i < kTimes; ++i) {
    const std::string all = Exchange(GetParam().bytes);
    const HttpResponse response = ParseResponse(all);
    ASSERT_EQ(response.status, GetParam().status) << all;
    ASSERT_EQ(response.Header("Content-Type"), "application/problem+json");
    ASSERT_EQ(response.Header("Connection"), "close");
    ASSERT_THAT(response.body, HasSubstr("\"detail\":\""));
    ASSERT_EQ(CountAnswers(all), 1U) << "the rest was taken for another request";
  }
}

INSTANTIATE_TEST_SUITE_P(
    Lines, MalformedRequests,
    ::testing::Values(
        BadRequest{"BareLineFeed", "GET /events?topic=a HTTP/1.1\nHost: localhost\n\n", 400},
        BadRequest{"OneBareLineFeed", absl::StrCat(kGet, "X: 1\nY: 2\r\n\r\n"), 400},
        BadRequest{"BareCarriageReturn", WithHeader("X: 1\rY: 2"), 400},
        BadRequest{"FoldedHeader", WithHeader("X: 1\r\n 2"), 400},
        BadRequest{"HeaderFoldedByATab", WithHeader("X: 1\r\n\t2"), 400},
        BadRequest{"FoldedFirstHeader", "GET /events?topic=a HTTP/1.1\r\n Host: localhost\r\n\r\n", 400},
        BadRequest{"SpaceBeforeColon", WithHeader("X : 1"), 400},
        BadRequest{"HeaderWithoutColon", WithHeader("X"), 400}, BadRequest{"HeaderWithoutName", WithHeader(": 1"), 400},
        BadRequest{"NulInHeader", WithHeader("X: a\0b"s), 400}, BadRequest{"NulInName", WithHeader("X\0: a"s), 400},
        BadRequest{"TwoSpaces", "GET  /events?topic=a HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
        BadRequest{"SpaceInTarget", Get("/events?topic=a b"), 400},
        BadRequest{"NoVersion", "GET /events?topic=a\r\nHost: localhost\r\n\r\n", 400},
        BadRequest{"NoHost", "GET /events?topic=a HTTP/1.1\r\n\r\n", 400},
        BadRequest{"TwoHosts", absl::StrCat(kGet, "Host: localhost\r\n\r\n"), 400},
        BadRequest{"UnknownMethod", "BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n", 501},
        BadRequest{"Trace", "TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n", 501},
        BadRequest{"Connect", "CONNECT localhost:22 HTTP/1.1\r\nHost: localhost:22\r\n\r\n", 501},
        BadRequest{"MethodInLowerCase", "get / HTTP/1.1\r\nHost: localhost\r\n\r\n", 501},
        BadRequest{"LongMethod", absl::StrCat(std::string(8000, 'G'), " / HTTP/1.1\r\nHost: localhost\r\n\r\n"), 501},
        BadRequest{"Http2Preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
        BadRequest{"TlsHello", "\x16\x03\x01\x02\x00\x01\n\n"s, 400}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Sizes, MalformedRequests,
    ::testing::Values(
        BadRequest{"LargeHead", WithHeader(absl::StrCat("X: ", std::string(20'000, 'x'))), 431},
        BadRequest{"HeaderOfAMegabyte", WithHeader(absl::StrCat("X: ", std::string(1 << 20, 'x'))), 431},
        BadRequest{"HeaderNameOfAMegabyte", WithHeader(absl::StrCat(std::string(1 << 20, 'x'), ": x")), 431},
        BadRequest{"EndlessLine", absl::StrCat("GET /", std::string(1 << 20, 'a')), 431},
        BadRequest{"LongRequestLine", Get(absl::StrCat("/", std::string(8200, 'a'))), 414},
        BadRequest{"LongHeader", WithHeader(absl::StrCat("X: ", std::string(8200, 'x'))), 431},
        BadRequest{"ManyHeaders", absl::StrCat(kGet, Headers(150), "\r\n"), 431},
        BadRequest{"HundredThousandHeaders", absl::StrCat(kGet, Headers(100'000), "\r\n"), 431},
        BadRequest{"HeadWithoutEnd", absl::StrCat(kGet, Headers(100'000)), 431},
        BadRequest{"LargeBody", WithBody("", std::string(100'000, 'x')), 413},
        BadRequest{"BodyOfTenExabytes", absl::StrCat(kPost, "Content-Length: 10000000000000000000\r\n\r\n{}"), 413},
        BadRequest{"LargeChunk", Chunked("fffff\r\n"), 413},
        BadRequest{"LargeBodyInChunks", Chunked(absl::StrCat("8000\r\n", std::string(0x8000, ' '), "\r\n", "8001\r\n")),
                   413}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Framing, MalformedRequests,
    ::testing::Values(
        BadRequest{"TwoLengths", absl::StrCat(kPost, "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"), 400},
        BadRequest{"SameLengthTwice", absl::StrCat(kPost, "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}"), 400},
        BadRequest{"ListOfLengths", absl::StrCat(kPost, "Content-Length: 2, 2\r\n\r\n{}"), 400},
        BadRequest{"SignedLength", absl::StrCat(kPost, "Content-Length: +2\r\n\r\n{}"), 400},
        BadRequest{"NegativeLength", absl::StrCat(kPost, "Content-Length: -2\r\n\r\n{}"), 400},
        BadRequest{"HexadecimalLength", absl::StrCat(kPost, "Content-Length: 0x2\r\n\r\n{}"), 400},
        BadRequest{"EmptyLength", absl::StrCat(kPost, "Content-Length:\r\n\r\n{}"), 400},
        BadRequest{"LengthThatOverflows", absl::StrCat(kPost, "Content-Length: 18446744073709551618\r\n\r\n{}"), 400},
        BadRequest{"LengthThenChunks",
                   absl::StrCat(kPost, "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400},
        BadRequest{"ChunksThenLength",
                   absl::StrCat(kPost, "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n"), 400},
        BadRequest{"ChunksInHttp10",
                   "POST /events HTTP/1.0\r\nContent-Type: application/json\r\nTransfer-Encoding: "
                   "chunked\r\n\r\n0\r\n\r\n",
                   400},
        BadRequest{"CompressedChunks", absl::StrCat(kPost, "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), 501},
        BadRequest{"ChunksTwice",
                   absl::StrCat(kPost, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
                   501},
        BadRequest{"NearlyChunks", absl::StrCat(kPost, "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), 501},
        BadRequest{"SpaceBeforeTheColonOfChunks",
                   absl::StrCat(kPost, "Transfer-Encoding : chunked\r\nContent-Length: 2\r\n\r\n{}"), 400},
        BadRequest{"VerticalTabBeforeChunks", absl::StrCat(kPost, "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n"),
                   400},
        BadRequest{"FormFeedBehindALength", absl::StrCat(kPost, "Content-Length: 2\f\r\n\r\n{}"), 400},
        BadRequest{"CarriageReturnBehindALength", absl::StrCat(kPost, "Content-Length: 2\r\r\n\r\n{}"), 400},
        BadRequest{"BadChunkSize", Chunked("xyz\r\n"), 400},
        BadRequest{"HexadecimalPrefixOfAChunkSize", Chunked("0x2\r\n{}\r\n0\r\n\r\n"), 400},
        BadRequest{"SignedChunkSize", Chunked("+2\r\n{}\r\n0\r\n\r\n"), 400},
        BadRequest{"SpaceBehindAChunkSize", Chunked("2 \r\n{}\r\n0\r\n\r\n"), 400},
        BadRequest{"EmptyChunkSize", Chunked("\r\n{}\r\n0\r\n\r\n"), 400},
        BadRequest{"HugeChunkSize", Chunked("fffffffff\r\n"), 400},
        BadRequest{"ChunkSizeThatOverflows", Chunked("10000000000000002\r\n{}\r\n0\r\n\r\n"), 400},
        BadRequest{"BareLineFeedBehindAChunkSize", Chunked("2\n{}\r\n0\r\n\r\n"), 400},
        BadRequest{"ChunkWithoutEnd", Chunked("2\r\n{}{}"), 400},
        BadRequest{"BareLineFeedBehindAChunk", Chunked("2\r\n{}\n0\r\n\r\n"), 400},
        BadRequest{"LineFeedInAChunkExtension", Chunked("2;x=\n\r\n{}\r\n0\r\n\r\n"), 400},
        BadRequest{"NulInAChunkExtension", Chunked("2;x=\0\r\n{}\r\n0\r\n\r\n"s), 400},
        BadRequest{"LongChunkExtension", Chunked(absl::StrCat("2;x=", std::string(1 << 20, 'x'))), 400},
        BadRequest{"LongTrailers", Chunked(absl::StrCat("0\r\n", Headers(10'000), "\r\n")), 400},
        BadRequest{"CompressedBody", WithBody("Content-Encoding: gzip\r\n", "\x1f\x8b\x08"), 415},
        BadRequest{"BodyCompressedByBrotli", WithBody("Content-Encoding: br\r\n", "{}"), 415},
        BadRequest{"BodyCompressedTwice", WithBody("Content-Encoding: identity\r\nContent-Encoding: deflate\r\n", "{}"),
                   415},
        BadRequest{"UnknownExpectation", WithBody("Expect: tea\r\n", "{}"), 417}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(Targets, MalformedRequests,
                         ::testing::Values(BadRequest{"NulInPath", Get("/%00"), 400},
                                           BadRequest{"NulBehindAPath", Get("/events%00.txt?topic=a"), 400},
                                           BadRequest{"NulInQuery", Get("/events?topic=a%00"), 400},
                                           BadRequest{"HalfAnEscape", Get("/%f"), 400},
                                           BadRequest{"EscapeThatIsNone", Get("/%u002e"), 400},
                                           BadRequest{"RawUtf8", Get("/\xc3\xa4"), 400},
                                           BadRequest{"Fragment", Get("/events?topic=a#b"), 400},
                                           BadRequest{"NoPath", Get("events?topic=a"), 400},
                                           BadRequest{"Backslash", Get("\\events?topic=a"), 400},
                                           BadRequest{"AsteriskForGet", Get("*"), 400}),
                         [](const auto& test) { return test.param.name; });

class UnusualRequests : public Attacked {};

TEST_F(UnusualRequests, PathsThatLeadElsewhereLeadNowhere) {
  for (const std::string path :
       {"/../etc/passwd", "/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "/%c0%ae%c0%ae/%c0%ae%c0%ae/etc/passwd",
        "/%e0%80%ae%e0%80%ae/etc/passwd", "/console/../../etc/passwd", "/console/%2e%2e/%2e%2e/etc/passwd",
        "/console/..%5c..%5cetc%5cpasswd", "//events?topic=a", "/./events?topic=a", "/x/../events?topic=a",
        "/events/?topic=a", "/EVENTS?topic=a", "/events%2f?topic=a", "/events;x=y?topic=a", "/events%20?topic=a",
        "/metrics", "/events/../metrics"}) {
    const HttpResponse response = Fetch(bridge_.http_port(), "GET", path);
    EXPECT_EQ(response.status, 404) << path;
    EXPECT_EQ(response.Header("Content-Type"), "application/problem+json") << path;
    EXPECT_THAT(response.body, Not(HasSubstr("passwd"))) << path;
  }
}

TEST_F(UnusualRequests, OverlongUtf8IsNoTopic) {
  for (const std::string topic : {"%c0%ae", "a%c0%aeb", "%e2%80%ae", "%ff", "a%0d%0ab", "%2e%2e", "a/b", "%2a%2a"}) {
    const HttpResponse response = Fetch(bridge_.http_port(), "GET", absl::StrCat("/events?topic=", topic));
    EXPECT_EQ(response.status, 400) << topic;
    EXPECT_THAT(response.body, HasSubstr("\"parameter\":\"topic\"")) << topic;
  }
}

TEST_F(UnusualRequests, RangesAreIgnored) {
  std::string many = "bytes=0-1";
  for (int i = 1; i < 1000; ++i) {
    absl::StrAppend(&many, ",", i, "-");
  }
  for (const std::string& range :
       {std::string("bytes=0-10"), std::string("bytes=0-1,3-4,6-7"), std::string("bytes="), std::string("x=1"),
        std::string("bytes=1-2-3"), std::string("bytes=9223372036854775807-"), many,
        absl::StrCat("bytes=", std::string(8000, '0')), absl::StrCat("bytes=", std::string(8000, '-'))}) {
    SseClient client(bridge_.http_port(),
                     {.target = "/events?topic=a", .headers = absl::StrCat("Range: ", range, "\r\n")});
    EXPECT_EQ(client.Head().status, 200) << range.substr(0, 50);
    EXPECT_EQ(client.Head().Header("Content-Type"), "text/event-stream");
    client.ReadOpen();
    const HttpResponse page = Fetch(bridge_.http_port(), "GET", "/", absl::StrCat("Range: ", range, "\r\n"));
    EXPECT_EQ(page.status, 200) << range.substr(0, 50);
  }
}

// The library looks at some of these with regular expressions, which recurse on their input.
TEST_F(UnusualRequests, LongestInputForRegularExpressionsIsServed) {
  for (const std::string repeated : {"a", "(", "(a+)+", ".*", "%28", "/", "a."}) {
    std::string path = "/";
    while (path.size() + repeated.size() <= 8000) {
      path += repeated;
    }
    EXPECT_EQ(Fetch(bridge_.http_port(), "GET", path).status, 404) << repeated;
    EXPECT_EQ(Fetch(bridge_.http_port(), "POST", path, "", "x").status, 404) << repeated;
    EXPECT_EQ(Fetch(bridge_.http_port(), "OPTIONS", path).status, 404) << repeated;
  }
  for (const std::string name : {"Content-Type", "Accept", "Accept-Encoding", "Cookie", "If-Range", "Authorization"}) {
    for (const std::string repeated :
         {"a", "multipart/form-data; boundary=", "\"", ";", ",", "gzip;q=0.1,", "=", "\t"}) {
      std::string value;
      while (value.size() + repeated.size() <= 8000) {
        value += repeated;
      }
      const std::string header = absl::StrCat(name, ": x", value, "\r\n");
      EXPECT_EQ(Fetch(bridge_.http_port(), "GET", "/nothing", header).status, 404) << name << repeated;
      EXPECT_GE(Fetch(bridge_.http_port(), "POST", "/events", header, "{}").status, 400) << name << repeated;
    }
  }
}

TEST_F(UnusualRequests, MultipartBodiesAreNotTaken) {
  const std::string part = "--b\r\nContent-Disposition: form-data; name=\"x\"; filename=\"y\"\r\n\r\nz\r\n";
  std::string body;
  while (body.size() < 60'000) {
    body += part;
  }
  const HttpResponse response = Fetch(bridge_.http_port(), "POST", "/events",
                                      "Content-Type: multipart/form-data; boundary=b\r\n", absl::StrCat(body, "--b--"));
  EXPECT_EQ(response.status, 415);
}

// Every answer but the last one keeps the connection: what is behind a body must be the next request, and nothing else.
TEST_F(UnusualRequests, BodiesAreNotTakenForTheNextRequest) {
  const std::string smuggled = "GET /console/app.js HTTP/1.1\r\nHost: localhost\r\n\r\n";
  const std::string last = "GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  for (const std::string method : {"GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH"}) {
    for (const std::string path : {"/nothing", "/events", "/"}) {
      const std::string head = absl::StrCat(method, " ", path, " HTTP/1.1\r\nHost: localhost\r\n");
      for (const std::string& framed :
           {absl::StrCat("Content-Length: ", smuggled.size(), "\r\n\r\n", smuggled),
            absl::StrCat("Transfer-Encoding: chunked\r\n\r\n", absl::Hex(smuggled.size()), ";", std::string(200, 'x'),
                         "\r\n", smuggled, "\r\n0\r\nX: ", std::string(200, 'x'), "\r\n\r\n")}) {
        const std::string all = Exchange(absl::StrCat(head, framed, last));
        EXPECT_EQ(CountAnswers(all), 2U) << head << framed << "\n" << all;
        EXPECT_THAT(all.substr(all.rfind("HTTP/1.1 ")), StartsWith("HTTP/1.1 404 ")) << head;
      }
    }
  }
}

TEST_F(UnusualRequests, FloodOfPipelinedRequestsIsAnsweredNoFasterThanItIsRead) {
  std::string many;
  while (many.size() < 64'000) {
    many += "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n";
  }
  Crowd readers({.port = bridge_.http_port(), .size = 300, .receive_buffer_bytes = 256 << 10});
  Crowd others({.port = bridge_.http_port(), .size = 300});
  const absl::Time end = absl::Now() + absl::Seconds(3);
  while (absl::Now() < end) {
    readers.Send(many);
    readers.Receive(SIZE_MAX);
    others.Send(many);
  }
  EXPECT_TRUE(Eventually([&] {
    readers.Receive(SIZE_MAX);
    return readers.CountAnswered("HTTP/1.1 404 ") == 300;
  }));
  EXPECT_GT(bridge_.Metric("sse_bridge_http_requests_total"), 3000);
  EXPECT_LE(bridge_.Metric("sse_bridge_http_unsent_bytes"), 64 << 20);
  if (CanMeasureMemory()) {  // a sanitizer's allocator takes more
    EXPECT_LT(bystander_.PeakGrowthBytes(), uint64_t{50} << 20);
  }
}

struct BadBody {
  std::string name;
  std::string json;
};

class BadBodies : public Attacked, public ::testing::WithParamInterface<BadBody> {};

TEST_P(BadBodies, GetAProblem) {
  constexpr int kTimes = 20;
  for (int i = 0; i < kTimes; ++i) {
    const HttpResponse response =
        Fetch(bridge_.http_port(), "POST", "/events", "Content-Type: application/json\r\n", GetParam().json);
    ASSERT_EQ(response.status, 400) << response.body;
    ASSERT_EQ(response.Header("Content-Type"), "application/problem+json");
    ASSERT_THAT(response.body, HasSubstr("\"example\":\"{"));
    ASSERT_LT(response.body.size(), 1000U);
  }
}

std::string Repeated(absl::string_view text, size_t bytes) {
  std::string all;
  while (all.size() + text.size() <= bytes) {
    absl::StrAppend(&all, text);
  }
  return all;
}

constexpr size_t kBodyBytes = 65'000;

INSTANTIATE_TEST_SUITE_P(
    All, BadBodies,
    ::testing::Values(
        BadBody{"DeepArrays", absl::StrCat(R"({"topics":)", Repeated("[", kBodyBytes))},
        BadBody{"DeepArraysWithAnEnd",
                absl::StrCat(R"({"topics":["a"],"replay":)", std::string(30'000, '['), std::string(30'000, ']'), "}")},
        BadBody{"DeepObjects", absl::StrCat(R"({"topics":["a"],"replay":)", Repeated(R"({"a":)", kBodyBytes))},
        BadBody{"DeepUnknownFields", absl::StrCat(R"({"x":)", Repeated(R"([{"a":)", kBodyBytes))},
        BadBody{"ManyTopics", absl::StrCat(R"({"topics":["a")", Repeated(R"(,"a")", kBodyBytes), "]}")},
        BadBody{"ManyUnknownFields", absl::StrCat("{", Repeated(R"("x":1,)", kBodyBytes), R"("topics":["a"]})")},
        BadBody{"TopicTwice", R"({"topics":["a"],"topics":["b..c"]})"},
        BadBody{"LongTopic", absl::StrCat(R"({"topics":[")", std::string(60'000, 'a'), R"("]})")},
        BadBody{"LongType", absl::StrCat(R"({"topics":["a"],"types":[")", std::string(60'000, 'a'), R"("]})")},
        BadBody{"LongNumber", absl::StrCat(R"({"topics":["a"],"replay":)", std::string(60'000, '9'), "}")},
        BadBody{"NumberThatOverflows", R"({"topics":["a"],"replay":1e999})"},
        BadBody{"NotANumber", R"({"topics":["a"],"replay":NaN})"},
        BadBody{"InvalidUtf8", "{\"topics\":[\"\xff\xfe\"]}"}, BadBody{"OverlongUtf8", "{\"topics\":[\"\xc0\xae\"]}"},
        BadBody{"HalfASurrogatePair", R"({"topics":["\ud800"]})"}, BadBody{"EscapedNul", R"({"topics":["a\u0000b"]})"},
        BadBody{"EscapedLineFeedInType", R"({"topics":["a"],"types":["x\nid: 7"]})"},
        BadBody{"RawNul", "{\"topics\":[\"a\0\"]}"s}, BadBody{"ByteOrderMark", "\xef\xbb\xbf{\"topics\":[]}"},
        BadBody{"Utf16", "{\0\"\0t\0"s}, BadBody{"NoObject", R"(["a"])"}, BadBody{"Null", "null"},
        BadBody{"NullTopics", R"({"topics":null})"}, BadBody{"NullTopic", R"({"topics":[null]})"},
        BadBody{"ObjectForTopics", R"({"topics":{"a":"b"}})"}, BadBody{"Garbage", std::string(kBodyBytes, '{')},
        BadBody{"Spaces", std::string(kBodyBytes, ' ')}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace bridge::test
