#include "bridge/config/validate_auth.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"

#include "bridge/config/config.h"

namespace bridge::config {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kKey[] = "auth.jwt.keys=[{algorithm: HS256, secret_file: key}]";

absl::StatusOr<v1::Config> Loaded(const std::vector<std::string>& overrides) {
  return Load({.path = std::nullopt, .overrides = overrides});
}

std::string ErrorOf(const std::vector<std::string>& overrides) {
  return std::string(Loaded(overrides).status().message());
}

TEST(ValidateAuthTest, OutsideLoopbackItIsClosedUnlessSomebodySaysSo) {
  for (const char* const address : {"http.address=0.0.0.0:8080", "grpc.address='[::]:9090'"}) {
    EXPECT_THAT(ErrorOf({address}), AllOf(HasSubstr("can be reached from outside"), HasSubstr("auth.jwt.keys"),
                                          HasSubstr("auth.allow_anonymous: true")));
    EXPECT_EQ(ErrorOf({address, "auth.allow_anonymous=true"}), "");
    EXPECT_EQ(ErrorOf({address, kKey}), "");
    EXPECT_EQ(ErrorOf({address, "auth.jwt.jwks_file=keys.json"}), "");
    EXPECT_EQ(ErrorOf({address, "auth.jwt.jwks_url='https://id.example/keys'"}), "");
  }
  EXPECT_EQ(ErrorOf({"admin.address=0.0.0.0:8081"}), "") << "it is read-only and knows no topics";
  EXPECT_EQ(ErrorOf({"http.address=localhost:8080", "grpc.address='[::1]:9090'"}), "");
}

TEST(ValidateAuthTest, OpenAndKeysContradictEachOther) {
  for (const char* const keys : {kKey, "auth.jwt.jwks_file=keys.json", "auth.jwt.jwks_url='https://id.example/keys'"}) {
    EXPECT_THAT(ErrorOf({keys, "auth.allow_anonymous=true"}), HasSubstr("auth.allow_anonymous: true")) << keys;
  }
}

TEST(ValidateAuthTest, AKeyHasAnAlgorithmAndTheFileThatItTakes) {
  const auto error = [](const std::string& key) { return ErrorOf({"auth.jwt.keys=[" + key + "]"}); };
  EXPECT_EQ(error("{algorithm: HS512, secret_file: a}"), "");
  EXPECT_EQ(error("{algorithm: EdDSA, public_key_file: a, kid: a}"), "");
  EXPECT_THAT(error("{secret_file: a}"), HasSubstr("auth.jwt.keys[0].algorithm: is missing"));
  EXPECT_THAT(error("{algorithm: none, secret_file: a}"), HasSubstr("auth.jwt.keys[0].algorithm: \"none\" is none of"));
  EXPECT_THAT(error("{algorithm: HS256}"), HasSubstr("auth.jwt.keys[0].secret_file: is missing"));
  EXPECT_THAT(error("{algorithm: RS256, secret_file: a}"), HasSubstr("auth.jwt.keys[0].public_key_file: is missing"));
  EXPECT_THAT(error("{algorithm: HS256, secret_file: a, public_key_file: a}"),
              HasSubstr("auth.jwt.keys[0].public_key_file: does not go with HS256"));
  EXPECT_THAT(error("{algorithm: ES256, secret_file: a, public_key_file: a}"),
              HasSubstr("auth.jwt.keys[0].secret_file: does not go with ES256"));
  EXPECT_THAT(error("{algorithm: HS256, secret_file: a, kid: k}, {algorithm: HS256, secret_file: b, kid: k}"),
              HasSubstr("auth.jwt.keys[1].kid: \"k\" is another key's too"));
}

TEST(ValidateAuthTest, AKeysAlgorithmIsAmongTheAccepted) {
  EXPECT_EQ(ErrorOf({kKey, "auth.jwt.algorithms=[RS256, HS256]"}), "");
  EXPECT_THAT(ErrorOf({kKey, "auth.jwt.algorithms=[RS256]"}), HasSubstr("HS256 is not in auth.jwt.algorithms"));
}

TEST(ValidateAuthTest, WhatNeedsKeysSaysSo) {
  for (const std::string path :
       {"auth.jwt.issuer", "auth.jwt.audience", "auth.jwt.cookie", "auth.jwt.query", "auth.tickets.secret_file",
        "auth.anonymous.subscribe", "auth.anonymous.publish", "auth.anonymous.call", "auth.anonymous.serve"}) {
    const bool is_list = absl::StrContains(path, "anonymous");
    const std::string set = path + (is_list ? "=[a]" : "=a");
    EXPECT_THAT(ErrorOf({set}), HasSubstr(path + ": is set, and without keys")) << path;
    EXPECT_EQ(ErrorOf({set, kKey}), "") << path;
  }
  EXPECT_THAT(ErrorOf({"auth.tickets.enabled=on"}), HasSubstr("auth.tickets.enabled: is set"));
  EXPECT_THAT(ErrorOf({"auth.jwt.algorithms=[HS256]"}), HasSubstr("auth.jwt.algorithms: is set"));
}

TEST(ValidateAuthTest, ReplicasShareTheSecretOfTickets) {
  const std::string jetstream = "log.jetstream.url='nats://localhost:4222'";
  EXPECT_EQ(ErrorOf({jetstream}), "");
  EXPECT_THAT(ErrorOf({jetstream, kKey}), HasSubstr("auth.tickets.secret_file: is missing"));
  EXPECT_EQ(ErrorOf({jetstream, kKey, "auth.tickets.secret_file=tickets.key"}), "");
  EXPECT_EQ(ErrorOf({jetstream, kKey, "auth.tickets.enabled=off"}), "");
}

TEST(ValidateAuthTest, TicketsAreOnWhereverKeysAre) {
  EXPECT_FALSE(HasTickets(Loaded({})->auth()));
  EXPECT_TRUE(HasTickets(Loaded({kKey})->auth()));
  EXPECT_FALSE(HasTickets(Loaded({kKey, "auth.tickets.enabled=off"})->auth()));
}

TEST(ValidateAuthTest, AnonymousNamesPatterns) {
  EXPECT_EQ(ErrorOf({kKey, "auth.anonymous.subscribe=['public.>', news]"}), "");
  EXPECT_THAT(ErrorOf({kKey, "auth.anonymous.subscribe=[news, 'a..b']"}),
              HasSubstr("auth.anonymous.subscribe[1]: \"a..b\" is no pattern"));
}

TEST(ValidateAuthTest, TheParameterWithATokenIsNoOtherOne) {
  EXPECT_EQ(ErrorOf({kKey, "auth.jwt.query=access_token"}), "");
  for (const std::string name : {"topic", "last_event_id", "ticket"}) {
    EXPECT_THAT(ErrorOf({kKey, "auth.jwt.query=" + name}),
                HasSubstr("auth.jwt.query: \"" + name + "\" is a parameter of GET /events"));
  }
}

TEST(ValidateAuthTest, AZeroLeewayIsZero) {
  EXPECT_EQ(Loaded({kKey, "auth.jwt.leeway=0s"})->auth().jwt().leeway().seconds(), 0);
  EXPECT_EQ(Loaded({kKey})->auth().jwt().leeway().seconds(), 30);
}

TEST(ValidateAuthTest, TheUrlOfKeysIsChecked) {
  EXPECT_THAT(ErrorOf({"auth.jwt.jwks_url='http://id.example/keys'"}),
              HasSubstr("auth.jwt.jwks_url: \"http://id.example/keys\" is not https"));
}

}  // namespace
}  // namespace bridge::config
