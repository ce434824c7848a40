#include "bridge/http/cors.h"

#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bridge::http {
namespace {

using ::testing::HasSubstr;

bool MayAct(const Cors& cors, const std::vector<std::pair<std::string, std::string>>& headers) {
  httplib::Request request;
  for (const auto& [name, value] : headers) {
    request.headers.emplace(name, value);
  }
  return cors.MayAct(request);
}

TEST(Cors, PagesOfTheBridgesOwnOriginAndOfAllowedOnesMayAct) {
  const Cors cors({.allowed_origins = {"https://app.example"}});
  EXPECT_TRUE(MayAct(cors, {})) << "no page of a browser";
  EXPECT_TRUE(MayAct(cors, {{"Origin", "https://app.example"}}));
  EXPECT_TRUE(MayAct(cors, {{"Origin", "https://app.example"}, {"Sec-Fetch-Site", "cross-site"}}));
  EXPECT_FALSE(MayAct(cors, {{"Origin", "https://other.example"}}));
  EXPECT_FALSE(MayAct(cors, {{"Origin", "null"}}));
  EXPECT_FALSE(MayAct(cors, {{"Origin", "https://app.example.evil"}}));

  const struct {
    const char* origin;
    const char* host;
    bool is_own;
  } kByHost[] = {{"http://a.example", "a.example", true},
                 {"http://a.example:8080", "a.example:8080", true},
                 {"http://A.example", "a.Example", true},
                 {"https://a.example", "a.example:443", true},
                 {"http://a.example", "a.example:80", true},
                 {"http://[::1]:8080", "[::1]:8080", true},
                 {"http://a.example:8080", "a.example", false},
                 {"http://a.example", "a.example:8080", false},
                 {"https://a.example", "a.example:80", false},
                 {"http://b.example", "a.example", false},
                 {"http://a.example.evil", "a.example", false},
                 {"http://evil.a.example", "a.example", false},
                 {"chrome-extension://a.example", "a.example", false},
                 {"a.example", "a.example", false},
                 {"null", "null", false}};
  for (const auto& [origin, host, is_own] : kByHost) {
    EXPECT_EQ(MayAct(cors, {{"Origin", origin}, {"Host", host}}), is_own) << origin << " " << host;
  }
}

TEST(Cors, WhatTheBrowserSaysOfTheSiteGoesBeforeTheHost) {
  const Cors cors(Cors::Options{});
  EXPECT_TRUE(MayAct(cors, {{"Origin", "https://a.example"}, {"Host", "inner"}, {"Sec-Fetch-Site", "same-origin"}}));
  for (const char* const site : {"same-site", "cross-site", "none"}) {
    EXPECT_FALSE(MayAct(cors, {{"Origin", "http://a.example"}, {"Host", "a.example"}, {"Sec-Fetch-Site", site}}));
  }
}

TEST(Cors, AnyOriginMayActWhereAnyIsAllowed) {
  const Cors cors({.allowed_origins = {"*"}});
  EXPECT_TRUE(MayAct(cors, {{"Origin", "null"}}));
  EXPECT_TRUE(MayAct(cors, {{"Origin", "https://other.example"}, {"Sec-Fetch-Site", "cross-site"}}));
}

TEST(Cors, APreflightAllowsTheHeadersOfARoute) {
  const Cors cors({.allowed_origins = {"https://app.example"}});
  httplib::Request request;
  request.headers.emplace("Origin", "https://app.example");
  httplib::Response response;
  cors.AnswerPreflight(request, "POST, DELETE", &response, {"x-trace"});
  EXPECT_EQ(response.get_header_value("Access-Control-Allow-Methods"), "POST, DELETE");
  const std::string headers = response.get_header_value("Access-Control-Allow-Headers");
  for (const char* const name : {"Authorization", "Idempotency-Key", "Prefer", "Last-Event-ID", "x-trace"}) {
    EXPECT_THAT(headers, HasSubstr(name));
  }
  cors.AddHeaders(request, &response);
  for (const char* const name : {"Location", "Retry-After", "Preference-Applied"}) {
    EXPECT_THAT(response.get_header_value("Access-Control-Expose-Headers"), HasSubstr(name));
  }
}

}  // namespace
}  // namespace bridge::http
