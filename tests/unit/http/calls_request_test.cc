#include "bridge/http/calls_request.h"

#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bridge::http {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

using Headers = std::vector<std::pair<std::string, std::string>>;
using Query = std::vector<std::pair<std::string, std::string>>;

httplib::Request RequestOf(const std::string& method, const Headers& headers, const Query& query = {}) {
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

std::variant<PostedCall, Problem> Parse(const Headers& headers, const Query& query = {}, const CallRules& rules = {}) {
  RequestHead head;
  for (const auto& [name, value] : headers) {
    head.headers.push_back({.name = name, .value = value});
  }
  return ParsePostedCall(RequestOf("POST", headers, query), head, rules);
}

// The parameter or header that is wrong; empty where all is right.
std::string Wrong(const std::variant<PostedCall, Problem>& parsed) {
  const auto* problem = std::get_if<Problem>(&parsed);
  return problem == nullptr ? "" : problem->parameter;
}

TEST(CallsRequest, APostAsksForNothingInParticular) {
  const auto parsed = Parse({{"Content-Type", "text/plain; charset=utf-8"}});
  const auto& posted = std::get<PostedCall>(parsed);
  EXPECT_EQ(posted.call.content_type, "text/plain; charset=utf-8");
  EXPECT_EQ(posted.call.timeout, absl::Minutes(10));
  EXPECT_EQ(posted.call.on_disconnect, calls::OnDisconnect::kGrace);
  EXPECT_FALSE(posted.call.is_async);
  EXPECT_EQ(posted.call.idempotency_key, "");
  EXPECT_THAT(posted.call.metadata, IsEmpty());
  EXPECT_EQ(posted.last_event_id, "");
}

TEST(CallsRequest, ATimeoutOnlyShortens) {
  const struct {
    const char* text;
    absl::Duration timeout;
  } kRight[] = {{"30s", absl::Seconds(30)},    {"1500ms", absl::Milliseconds(1500)}, {"1.5m", absl::Seconds(90)},
                {"1m30s", absl::Seconds(90)},  {"10m", absl::Minutes(10)},           {"11m", absl::Minutes(10)},
                {"99999h", absl::Minutes(10)}, {"1ms", absl::Milliseconds(1)}};
  for (const auto& [text, timeout] : kRight) {
    const auto parsed = Parse({}, {{"timeout", text}});
    ASSERT_EQ(Wrong(parsed), "") << text;
    EXPECT_EQ(std::get<PostedCall>(parsed).call.timeout, timeout) << text;
  }
  for (const char* const text : {"", "30", "0", "0s", "-1s", "inf", "-inf", "1us", "s", "soon", "1d", "30 s"}) {
    EXPECT_EQ(Wrong(Parse({}, {{"timeout", text}})), "timeout") << text;
  }
}

TEST(CallsRequest, WhatHappensToACallThatNobodyReads) {
  const struct {
    const char* text;
    calls::OnDisconnect on_disconnect;
  } kRight[] = {{"grace", calls::OnDisconnect::kGrace},
                {"cancel", calls::OnDisconnect::kCancel},
                {"continue", calls::OnDisconnect::kContinue}};
  for (const auto& [text, on_disconnect] : kRight) {
    const auto parsed = Parse({}, {{"on_disconnect", text}});
    ASSERT_EQ(Wrong(parsed), "") << text;
    EXPECT_EQ(std::get<PostedCall>(parsed).call.on_disconnect, on_disconnect) << text;
  }
  for (const char* const text : {"", "Grace", "stop"}) {
    EXPECT_EQ(Wrong(Parse({}, {{"on_disconnect", text}})), "on_disconnect") << text;
  }
}

TEST(CallsRequest, ParametersThatAreNotKnownOrRepeatedAreWrong) {
  EXPECT_EQ(Wrong(Parse({}, {{"topic", "a"}})), "topic");
  EXPECT_EQ(Wrong(Parse({}, {{"ticket", "x"}}, {.other_parameters = {"ticket"}})), "ticket");
  EXPECT_EQ(Wrong(Parse({}, {{"timeout", "1s"}, {"timeout", "1s"}})), "timeout");
  const auto unknown = Parse({}, {{"a\r\nb", "x"}});
  EXPECT_THAT(std::get<Problem>(unknown).detail, HasSubstr("timeout, on_disconnect"));
  EXPECT_EQ(std::get<Problem>(unknown).parameter, "a\\r\\nb");
}

TEST(CallsRequest, APreferenceIsFoundHoweverItIsWritten) {
  for (const char* const text : {"respond-async", "Respond-Async", " respond-async ", "wait=10, respond-async",
                                 "respond-async, wait=10", "foo=\"a, b\", respond-async", "respond-async; x=1",
                                 ",, ,respond-async", "respond-async=", "return=minimal;a=b,respond-async"}) {
    EXPECT_TRUE(std::get<PostedCall>(Parse({{"Prefer", text}})).call.is_async) << text;
  }
  for (const char* const text :
       {"", "respond-sync", "x=respond-async", R"(foo=", respond-async")", R"(foo="respond-async)",
        R"(foo="\", respond-async")", "respond-async-not", "wait=10;respond-async"}) {
    EXPECT_FALSE(std::get<PostedCall>(Parse({{"Prefer", text}})).call.is_async) << text;
  }
  EXPECT_TRUE(std::get<PostedCall>(Parse({{"Prefer", "wait=1"}, {"prefer", "respond-async"}})).call.is_async);
}

TEST(CallsRequest, AnIdempotencyKeyIsPlainOrQuoted) {
  const struct {
    std::string text;
    std::string key;
  } kRight[] = {{"abc", "abc"}, {R"("abc")", "abc"},  {R"("a\"b\\c")", R"(a"b\c)"},
                {"a b", "a b"}, {R"(a"b)", R"(a"b)"}, {std::string(128, 'x'), std::string(128, 'x')}};
  for (const auto& [text, key] : kRight) {
    const auto parsed = Parse({{"Idempotency-Key", text}});
    ASSERT_EQ(Wrong(parsed), "") << text;
    EXPECT_EQ(std::get<PostedCall>(parsed).call.idempotency_key, key) << text;
  }
  for (const std::string& text :
       {std::string(), std::string("\"\""), std::string("\""), std::string("\"abc"), std::string("\"abc\" x"),
        std::string("\"abc\\"), std::string("a\tb"), std::string("\xc3\xa4"), std::string(129, 'x')}) {
    EXPECT_EQ(Wrong(Parse({{"Idempotency-Key", text}})), "Idempotency-Key") << text;
  }
  EXPECT_EQ(Wrong(Parse({{"Idempotency-Key", "a"}, {"Idempotency-Key", "a"}})), "Idempotency-Key");
}

TEST(CallsRequest, AKeyWithoutATokenIsASecret) {
  EXPECT_FALSE(CheckIsSecret("").has_value());
  EXPECT_FALSE(CheckIsSecret("0123456789012345678901").has_value());
  EXPECT_EQ(CheckIsSecret("012345678901234567890")->status, 400);
}

TEST(CallsRequest, APostThatGoesOnNeedsAKey) {
  for (const auto& [headers, query] : std::vector<std::pair<Headers, Query>>{
           {{{"Last-Event-ID", "1-2"}}, {}}, {{}, {{"lastEventId", "1-2"}}}, {{}, {{"last_event_id", "1-2"}}}}) {
    EXPECT_EQ(Wrong(Parse(headers, query)), "Idempotency-Key");
    Headers with_key = headers;
    with_key.emplace_back("Idempotency-Key", "x");
    EXPECT_EQ(std::get<PostedCall>(Parse(with_key, query)).last_event_id, "1-2");
  }
  EXPECT_EQ(Wrong(Parse({{"Last-Event-ID", ""}})), "");
}

TEST(CallsRequest, HeadersThatAreNamedAreHandedOn) {
  const CallRules rules{.metadata = {"x-trace", "x-tenant", "x-none"}};
  const auto parsed = Parse({{"X-Trace", "1"}, {"X-Tenant", "a"}, {"X-TENANT", "b"}, {"X-Other", "c"}}, {}, rules);
  EXPECT_THAT(std::get<PostedCall>(parsed).call.metadata, ElementsAre(Pair("x-trace", "1"), Pair("x-tenant", "a, b")));
  EXPECT_EQ(Wrong(Parse({{"X-Trace", "\xff"}}, {}, rules)), "x-trace");
  EXPECT_EQ(Wrong(Parse({{"Content-Type", "\xff"}}, {}, rules)), "Content-Type");
}

TEST(CallsRequest, AGetMayGoOnBehindAnId) {
  const CallRules rules{.other_parameters = {"ticket"}};
  const auto read = [&](const Headers& headers, const Query& query) {
    return std::get<std::string>(ParseReadCall(RequestOf("GET", headers, query), rules));
  };
  EXPECT_EQ(read({}, {{"ticket", "x"}}), "");
  EXPECT_EQ(read({{"Last-Event-ID", "1-2"}}, {{"lastEventId", "1-3"}, {"last_event_id", "1-4"}}), "1-2");
  EXPECT_EQ(read({}, {{"lastEventId", "1-3"}, {"last_event_id", "1-4"}}), "1-3");
  EXPECT_EQ(read({}, {{"last_event_id", "1-4"}}), "1-4");
  EXPECT_EQ(std::get<Problem>(ParseReadCall(RequestOf("GET", {}, {{"timeout", "1s"}}), rules)).parameter, "timeout");
}

TEST(CallsRequest, ADeleteAsksForNothingElse) {
  EXPECT_FALSE(CheckCancelCall(RequestOf("DELETE", {})).has_value());
  EXPECT_EQ(CheckCancelCall(RequestOf("DELETE", {}, {{"ticket", "x"}}))->parameter, "ticket");
}

}  // namespace
}  // namespace bridge::http
