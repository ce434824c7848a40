#include "bridge/config/address.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bridge::config {
namespace {

using ::testing::HasSubstr;

TEST(AddressTest, ReadsHostAndPort) {
  struct Case {
    const char* text;
    const char* host;
    int port;
  };
  for (const Case& c :
       {Case{"127.0.0.1:8080", "127.0.0.1", 8080}, Case{"0.0.0.0:0", "0.0.0.0", 0}, Case{"[::]:8080", "::", 8080},
        Case{"[::1]:65535", "::1", 65535}, Case{"localhost:1", "localhost", 1},
        Case{"sse_bridge.team-a.svc:80", "sse_bridge.team-a.svc", 80}}) {
    const absl::StatusOr<Address> address = ParseAddress(c.text);
    ASSERT_TRUE(address.ok()) << c.text << ": " << address.status();
    EXPECT_EQ(address->host, c.host);
    EXPECT_EQ(address->port, c.port);
  }
}

TEST(AddressTest, RefusesTheRestAndShowsARightOne) {
  for (const char* text : {"",
                           "8080",
                           ":8080",
                           "localhost",
                           "localhost:",
                           "localhost:http",
                           "localhost:65536",
                           "localhost:-1",
                           "localhost:+1",
                           "localhost: 1",
                           "::1:8080",
                           "[::1]",
                           "[::1:8080",
                           "::]:8080",
                           "[]:8080",
                           "[127.0.0.1]:8080",
                           "256.0.0.1:8080",
                           "127.0.0:8080",
                           "1.2.3.4.5:8080",
                           "http://localhost:8080",
                           "a b:80",
                           "-a:80",
                           "a..b:80",
                           "[fe80::1%eth0]:80",
                           "*:8080"}) {
    const absl::Status status = ParseAddress(text).status();
    ASSERT_FALSE(status.ok()) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr("[::]:8080")) << text;
  }
}

TEST(AddressTest, KnowsLoopback) {
  for (const char* host : {"127.0.0.1", "127.255.255.254", "::1", "0:0:0:0:0:0:0:1", "localhost", "LocalHost"}) {
    EXPECT_TRUE(IsLoopback({.host = host})) << host;
  }
  for (const char* host :
       {"0.0.0.0", "::", "128.0.0.1", "10.0.0.1", "::ffff:10.0.0.1", "example.com", "localhost.example.com"}) {
    EXPECT_FALSE(IsLoopback({.host = host})) << host;
  }
}

TEST(AddressTest, UrlHostsHaveNeitherPortNorScheme) {
  for (const char* text : {"app.example.com", "localhost", "10.0.0.1", "[::1]", "xn--bcher-kva.example", "A.Example"}) {
    EXPECT_TRUE(IsUrlHost(text)) << text;
  }
  for (const char* text : {"", "a:80", "https://a", "a/b", "::1", "*.example.com", "a@b", "1.2.3",
                           "b\xC3\xBC"
                           "cher.example"}) {
    EXPECT_FALSE(IsUrlHost(text)) << text;
  }
}

}  // namespace
}  // namespace bridge::config
