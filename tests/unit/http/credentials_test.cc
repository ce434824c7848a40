#include "bridge/http/credentials.h"

#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bridge::http {
namespace {

using ::testing::HasSubstr;
using Headers = std::vector<std::pair<std::string, std::string>>;

const CredentialPlaces kAll = {.cookie = "session", .token_parameter = "token", .ticket_parameter = "ticket"};

class CredentialsTest : public ::testing::Test {
 protected:
  static httplib::Request RequestOf(const Headers& headers, const Headers& query = {}, const char* method = "GET") {
    httplib::Request request;
    request.method = method;
    for (const auto& [name, value] : headers) {
      request.headers.emplace(name, value);
    }
    for (const auto& [name, value] : query) {
      request.params.emplace(name, value);
    }
    return request;
  }

  // "token T", "ticket T", "none", "foreign cookie", or the parameter of a problem.
  static std::string Found(const httplib::Request& request, const CredentialPlaces& places = kAll,
                           const std::string& allowed_origin = "https://app.example") {
    const auto found = FindCredential(request, places, Cors({.allowed_origins = {allowed_origin}}));
    if (const auto* problem = std::get_if<Problem>(&found)) {
      EXPECT_EQ(problem->status, 400);
      EXPECT_THAT(problem->detail, HasSubstr("more than once"));
      return "problem of " + problem->parameter;
    }
    const auto& credential = std::get<Credential>(found);
    switch (credential.kind) {
      case Credential::Kind::kToken:
        return "token " + credential.text;
      case Credential::Kind::kTicket:
        return "ticket " + credential.text;
      case Credential::Kind::kNone:
        break;
    }
    return credential.has_foreign_cookie ? "foreign cookie" : "none";
  }
};

TEST_F(CredentialsTest, ABearerTokenStandsInTheHeader) {
  EXPECT_EQ(Found(RequestOf({{"Authorization", "Bearer a.b.c"}})), "token a.b.c");
  EXPECT_EQ(Found(RequestOf({{"authorization", "bearer   a.b.c "}})), "token a.b.c");
  EXPECT_EQ(Found(RequestOf({{"Authorization", "Bearer"}})), "token ") << "which is no token, and is told so";
  EXPECT_EQ(Found(RequestOf({{"Authorization", "Bearera.b.c"}})), "none");
  EXPECT_EQ(Found(RequestOf({})), "none");
}

TEST_F(CredentialsTest, OtherSchemesAreSomebodyElses) {
  EXPECT_EQ(Found(RequestOf({{"Authorization", "Basic YTpi"}})), "none");
  EXPECT_EQ(Found(RequestOf({{"Authorization", "Basic YTpi"}}, {{"ticket", "t"}})), "ticket t");
}

TEST_F(CredentialsTest, WhatTheClientPutIntoTheRequestGoesBeforeTheCookie) {
  const Headers cookie = {{"Cookie", "session=c"}, {"Sec-Fetch-Site", "same-origin"}};
  Headers both = cookie;
  both.emplace_back("Authorization", "Bearer h");
  EXPECT_EQ(Found(RequestOf(both, {{"ticket", "t"}, {"token", "q"}})), "token h");
  EXPECT_EQ(Found(RequestOf(cookie, {{"ticket", "t"}, {"token", "q"}})), "ticket t");
  EXPECT_EQ(Found(RequestOf(cookie, {{"token", "q"}})), "token q");
  EXPECT_EQ(Found(RequestOf(cookie)), "token c");
}

TEST_F(CredentialsTest, WhatIsNotConfiguredIsNotLookedAt) {
  const Headers cookie = {{"Cookie", "session=c"}, {"Sec-Fetch-Site", "same-origin"}};
  EXPECT_EQ(Found(RequestOf(cookie, {{"ticket", "t"}, {"token", "q"}}), CredentialPlaces{}), "none");
  EXPECT_EQ(Found(RequestOf({{"Cookie", "session=c"}}), CredentialPlaces{}), "none") << "not a foreign cookie either";
  EXPECT_EQ(Found(RequestOf({}, {{"other", "q"}})), "none");
}

TEST_F(CredentialsTest, TheQueryCountsForAGetAlone) {
  EXPECT_EQ(Found(RequestOf({}, {{"ticket", "t"}, {"token", "q"}}, "POST")), "none");
  EXPECT_EQ(Found(RequestOf({}, {{"ticket", "t"}}, "HEAD")), "ticket t");
}

TEST_F(CredentialsTest, TwoOfAKindAreAProblem) {
  EXPECT_EQ(Found(RequestOf({{"Authorization", "Bearer a"}, {"Authorization", "Bearer b"}})),
            "problem of Authorization");
  EXPECT_EQ(Found(RequestOf({{"Authorization", "Basic a"}, {"Authorization", "Bearer b"}})),
            "problem of Authorization");
  EXPECT_EQ(Found(RequestOf({}, {{"ticket", "a"}, {"ticket", "b"}})), "problem of ticket");
  EXPECT_EQ(Found(RequestOf({}, {{"token", "a"}, {"token", "a"}})), "problem of token");
  EXPECT_EQ(Found(RequestOf({{"Cookie", "session=a; session=b"}, {"Sec-Fetch-Site", "same-origin"}})),
            "problem of Cookie");
}

TEST_F(CredentialsTest, TheCookieIsFoundAmongOthers) {
  const auto found = [](const char* cookie) {
    return Found(RequestOf({{"Cookie", cookie}, {"Sec-Fetch-Site", "same-origin"}}));
  };
  EXPECT_EQ(found("a=b; session=c; d=e"), "token c");
  EXPECT_EQ(found("a=b;session=\"c\""), "token c");
  EXPECT_EQ(found("session=c=d"), "token c=d");
  EXPECT_EQ(found("session="), "token ");
  EXPECT_EQ(found("session2=c; my-session=d; Session=e; a=session=f"), "none");
  EXPECT_EQ(found("session"), "none");
  EXPECT_EQ(Found(RequestOf({{"Cookie", "a=b"}, {"Cookie", "session=c"}, {"Sec-Fetch-Site", "same-origin"}})),
            "token c");
}

TEST_F(CredentialsTest, TheCookieCountsOnlyFromPagesThatMayActForTheUser) {
  const auto found = [](Headers headers) {
    headers.emplace_back("Cookie", "session=c");
    return Found(RequestOf(headers));
  };
  EXPECT_EQ(found({{"Sec-Fetch-Site", "same-origin"}}), "token c");
  EXPECT_EQ(found({{"Sec-Fetch-Site", "same-site"}}), "token c");
  EXPECT_EQ(found({{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://app.example"}}), "token c");
  EXPECT_EQ(found({{"Origin", "https://app.example"}}), "token c");
  EXPECT_EQ(found({}), "foreign cookie");
  EXPECT_EQ(found({{"Sec-Fetch-Site", "none"}}), "foreign cookie");
  EXPECT_EQ(found({{"Sec-Fetch-Site", "cross-site"}}), "foreign cookie");
  EXPECT_EQ(found({{"Sec-Fetch-Site", "same-origin, cross-site"}}), "foreign cookie");
  EXPECT_EQ(found({{"Origin", "https://evil.example"}}), "foreign cookie");
  EXPECT_EQ(found({{"Origin", "null"}}), "foreign cookie");
  EXPECT_EQ(found({{"Origin", "*"}}), "foreign cookie");
}

TEST_F(CredentialsTest, AnyOriginIsNoneThatMayActForTheUser) {
  for (const char* const origin : {"https://evil.example", "*"}) {
    EXPECT_EQ(Found(RequestOf({{"Cookie", "session=c"}, {"Origin", origin}}), kAll, "*"), "foreign cookie") << origin;
  }
}

}  // namespace
}  // namespace bridge::http
