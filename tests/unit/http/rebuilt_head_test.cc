#include "bridge/http/rebuilt_head.h"

#include <string>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

#include "bridge/http/request_head.h"

namespace bridge::http {
namespace {

TEST(RebuiltHead, LeavesOutWhatHasBeenDealtWith) {
  const std::string bytes =
      "POST /e?a?b HTTP/1.1\r\nHost: a\r\nRange: bytes=0-\r\nTransfer-Encoding: chunked\r\nREMOTE_ADDR: 1\r\nExpect: "
      "100-continue\r\naccept-encoding: br\r\nX: y\r\n\r\n";
  RequestHead head;
  ASSERT_FALSE(ParseRequestHead(bytes, &head));
  EXPECT_EQ(RebuildHead(head), "POST /e?a%3Fb HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n");
}

TEST(RebuiltHead, HasWhatTheLibraryWouldTakeForASeparatorEscaped) {
  const auto rebuilt = [](const std::string& target) {
    RequestHead head;
    const std::string bytes = absl::StrCat("GET ", target, " HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_FALSE(ParseRequestHead(bytes, &head));
    const std::string text = RebuildHead(head);
    return text.substr(4, text.find(" HTTP/") - 4);
  };
  EXPECT_EQ(rebuilt("/a=b=c"), "/a=b=c");
  EXPECT_EQ(rebuilt("/e?a=b=c&d==e&f=?&g"), "/e?a=b%3Dc&d=%3De&f=%3F&g");
}

TEST(RebuiltHead, HasWhatTheLibraryWouldDecodeEscaped) {
  RequestHead head;
  ASSERT_FALSE(ParseRequestHead("GET /%41 HTTP/1.1\r\nHost: a\r\nCookie: a=%3Bb%\r\n\r\n", &head));
  EXPECT_EQ(RebuildHead(head), "GET /%41 HTTP/1.1\r\nHost: a\r\nCookie: a=%253Bb%25\r\n\r\n");
}

TEST(RebuiltHead, HasNoMoreHeadersThanTheClients) {
  for (const absl::string_view bytes : {"GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
                                        "POST / HTTP/1.0\r\n\r\n", "POST / HTTP/1.0\r\nContent-Length: 0\r\n\r\n"}) {
    RequestHead head;
    ASSERT_FALSE(ParseRequestHead(bytes, &head)) << bytes;
    EXPECT_EQ(RebuildHead(head), absl::StrCat(head.method, " / HTTP/1.0\r\n\r\n"));
  }
}

}  // namespace
}  // namespace bridge::http
