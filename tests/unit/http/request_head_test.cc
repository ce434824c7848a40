#include "bridge/http/request_head.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace bridge::http {
namespace {

std::optional<Refusal> Parse(const std::string& bytes) {
  RequestHead head;
  return ParseRequestHead(bytes, &head);
}

TEST(RequestHead, IsTakenApart) {
  const std::string bytes =
      "POST /events?a=b HTTP/1.1\r\nHost: example.com:8080\r\nContent-Length: 12\r\nX-Y:  spaced \t\r\n\r\n";
  RequestHead head;
  ASSERT_FALSE(ParseRequestHead(bytes, &head));
  EXPECT_EQ(head.method, "POST");
  EXPECT_EQ(head.target, "/events?a=b");
  EXPECT_EQ(head.minor_version, 1);
  EXPECT_EQ(head.host, "example.com");
  EXPECT_EQ(head.content_length, 12U);
  EXPECT_EQ(head.Find("x-y"), "spaced");
  EXPECT_TRUE(head.is_keep_alive);
  EXPECT_TRUE(head.has_body());
}

TEST(RequestHead, KeepAliveFollowsVersionAndConnection) {
  const auto is_keep_alive = [](const std::string& bytes) {
    RequestHead head;
    EXPECT_FALSE(ParseRequestHead(bytes, &head));
    return head.is_keep_alive;
  };
  EXPECT_TRUE(is_keep_alive("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_FALSE(is_keep_alive("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, CLOSE\r\n\r\n"));
  EXPECT_FALSE(is_keep_alive("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(is_keep_alive("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
}

TEST(RequestHead, AbsoluteFormIsTakenAsItsPathAndHost) {
  RequestHead head;
  const std::string bytes = "GET http://example.com:80/a?b HTTP/1.1\r\nHost: localhost\r\n\r\n";
  ASSERT_FALSE(ParseRequestHead(bytes, &head));
  EXPECT_EQ(head.target, "/a?b");
  EXPECT_EQ(head.host, "example.com");  // RFC 9112 §3.2.2: whatever the Host header says
}

TEST(RequestHead, HostIsTakenFromAnAuthority) {
  EXPECT_EQ(HostOfAuthority("example.com"), "example.com");
  EXPECT_EQ(HostOfAuthority("example.com:443"), "example.com");
  EXPECT_EQ(HostOfAuthority("[::1]:80"), "::1");
  for (const absl::string_view bad : {"", ":80", "[::1", "a b", "a:80:80", "a:port", "a/b", "a@b", "a:123456"}) {
    EXPECT_FALSE(HostOfAuthority(bad)) << bad;
  }
}

TEST(RequestHead, OfOneByteLessOrOneByteChangedIsRefusedOrParsedButNeverReadBeyond) {
  const std::string bytes =
      "POST /events HTTP/1.1\r\nHost: example.com\r\nContent-Length: 12\r\nConnection: close\r\n\r\n";
  for (size_t i = 0; i < bytes.size(); ++i) {
    Parse(bytes.substr(0, i));
    for (int byte = 0; byte < 256; ++byte) {
      std::string changed = bytes;
      changed[i] = static_cast<char>(byte);
      Parse(changed);
    }
  }
}

}  // namespace
}  // namespace bridge::http
