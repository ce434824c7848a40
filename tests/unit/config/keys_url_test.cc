#include "bridge/config/keys_url.h"

#include <gtest/gtest.h>

namespace bridge::config {
namespace {

TEST(KeysUrlTest, IsHttpsOrLoopback) {
  for (const char* const url :
       {"https://id.example.com/keys", "https://id.example.com", "https://id.example.com:8443/keys?tenant=a",
        "https://10.0.0.1/keys", "https://[2001:db8::1]:8443/keys", "http://localhost:8080/keys",
        "http://127.0.0.1/keys", "http://127.1.2.3:80/keys", "http://[::1]:80/keys", "http://[::1]"}) {
    EXPECT_EQ(CheckKeysUrl(url), absl::OkStatus()) << url;
  }
}

TEST(KeysUrlTest, IsNothingElse) {
  for (const char* const url :
       {"http://id.example.com/keys", "http://10.0.0.1/keys", "http://localhost.example.com/keys",
        "http://127.0.0.1.example.com/", "http://127.0.0.1@id.example.com/", "http://id.example.com\\@127.0.0.1/",
        "https://user:password@id.example.com/", "ftp://id.example.com/", "file:///etc/keys", "id.example.com/keys",
        "https://", "https:///keys", "https://:8443/keys", "https://id.example.com:/keys",
        "https://id.example.com:0/keys", "https://id example.com/", "HTTP://localhost/", "http://[::1",
        "http://?127.0.0.1"}) {
    EXPECT_FALSE(CheckKeysUrl(url).ok()) << url;
  }
}

}  // namespace
}  // namespace bridge::config
