#include "bridge/config/origin.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bridge::config {
namespace {

using ::testing::HasSubstr;

TEST(OriginTest, AcceptsWhatBrowsersSend) {
  for (const char* text : {"*", "https://app.example.com", "http://localhost:3000", "https://app.example.com:8443",
                           "http://127.0.0.1", "http://[::1]:8080", "https://[::1]", "capacitor://localhost",
                           "chrome-extension://abcdefghijklmnop", "http://localhost:443"}) {
    EXPECT_TRUE(CheckOrigin(text).ok()) << text << ": " << CheckOrigin(text);
  }
}

TEST(OriginTest, RefusesWhatNoBrowserSends) {
  struct Case {
    const char* text;
    const char* error;
  };
  for (const Case& c :
       {Case{"app.example.com", "no scheme"}, Case{"://app.example.com", "no scheme"}, Case{"1http://a", "no scheme"},
        Case{"https://app.example.com/", "more than"}, Case{"https://app.example.com/events", "more than"},
        Case{"https://a?b", "more than"}, Case{"https://user@a", "more than"}, Case{"https://", "neither a name"},
        Case{"https://*.example.com", "neither a name"}, Case{"https://a b", "neither a name"},
        Case{"https://::1", "neither a name"}, Case{"https://a:", "no number"}, Case{"https://a:http", "no number"},
        Case{"https://a:65536", "no number"}, Case{"https://a:0443", "no number"},
        Case{"https://a:443", "write https://a"}, Case{"http://[::1]:80", "write http://[::1]"},
        Case{"HTTPS://App.Example.com", "write https://app.example.com"}, Case{"null", "sandboxed"}}) {
    EXPECT_THAT(std::string(CheckOrigin(c.text).message()), HasSubstr(c.error)) << c.text;
  }
}

}  // namespace
}  // namespace bridge::config
