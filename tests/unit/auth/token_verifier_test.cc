#include "bridge/auth/token_verifier.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/support/tokens.h"
#include "tests/unit/auth/verify_token.h"

#include "bridge/auth/key.h"

namespace bridge::auth {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(TokenVerifierTest, ATokenSaysWhoAndWhatUntilWhen) {
  const absl::StatusOr<Identity> identity = Verify(
      HsToken(R"({"sub": "ann", "exp": 1800000060, "bridge": {"subscribe": ["orders.>", "a"], "publish": ["b.*"]}})"),
      {SecretKey()});
  ASSERT_TRUE(identity.ok()) << identity.status();
  EXPECT_EQ(identity->subject, "ann");
  EXPECT_EQ(identity->expires, absl::FromUnixSeconds(1'800'000'060));
  EXPECT_THAT(identity->subscribe.texts(), ElementsAre("orders.>", "a"));
  EXPECT_THAT(identity->publish.texts(), ElementsAre("b.*"));
  EXPECT_TRUE(identity->MaySubscribe(*topic::Pattern::Parse("orders.*")));
  EXPECT_FALSE(identity->MaySubscribe(*topic::Pattern::Parse("b.c")));
  EXPECT_TRUE(identity->MayPublish("b.c"));
  EXPECT_FALSE(identity->MayPublish("orders.eu"));
  EXPECT_FALSE(identity->MayCall("orders.eu"));
}

TEST(TokenVerifierTest, ATokenSaysWhichCallsMayBeMadeAndServed) {
  const absl::StatusOr<Identity> identity = Verify(
      HsToken(R"({"exp": 1800000060, "bridge": {"call": ["chat", "reports.*"], "serve": ["chat"]}})"), {SecretKey()});
  ASSERT_TRUE(identity.ok()) << identity.status();
  EXPECT_TRUE(identity->MayCall("reports.eu"));
  EXPECT_FALSE(identity->MayCall("reports"));
  EXPECT_THAT(identity->serve.texts(), ElementsAre("chat"));
  EXPECT_THAT(identity->subscribe.texts(), ElementsAre());
}

TEST(ClaimsTest, ExpIsRequiredAndIsATime) {
  EXPECT_THAT(ErrorOfPayload("{}"), HasSubstr("the token has no exp"));
  for (const char* const exp : {R"("1800000060")", "null", "true", "[]", "{}"}) {
    EXPECT_THAT(ErrorOfPayload(absl::StrCat(R"({"exp": )", exp, "}")), HasSubstr("the token's exp is no number"))
        << exp;
  }
}

TEST(ClaimsTest, ATimeLiesBetween1970AndTheYear9999) {
  const auto error = [](absl::string_view number) {
    return ErrorOfPayload(absl::StrCat(R"({"exp": 1800000060, "nbf": )", number, "}"));
  };
  for (const char* const nbf : {"0", "-0", "-0.0", "1e-300", "1800000000", "1800000000.0", "1.8e9", "18000000e+2"}) {
    EXPECT_EQ(error(nbf), "") << nbf;
  }
  for (const char* const nbf : {"1800000000.001", "1.800000001e9", "253402300799"}) {
    EXPECT_THAT(error(nbf), HasSubstr("not valid yet")) << nbf;
  }
  for (const char* const nbf :
       {"-1", "-0.001", "-1e-300", "253402300799.5", "253402300800", "9223372036854775807", "-9223372036854775808",
        "9223372036854775808", "18446744073709551615", "18446744073709551616", "-18446744073709551616",
        "100000000000000000000000000000000000000000", "1e19", "1e300", "-1e300", "1e308"}) {
    EXPECT_THAT(error(nbf), HasSubstr("the token's nbf is no number")) << nbf;
  }
  for (const char* const nbf : {"1e309", "-1e309", "1e400", "1e99999999999", "NaN", "nan", "Infinity", "-Infinity"}) {
    EXPECT_NE(error(nbf), "") << nbf;
  }
}

TEST(ClaimsTest, TimesCountToTheSecondWithoutLeeway) {
  EXPECT_EQ(ErrorOfPayload(R"({"exp": 1800000001})"), "");
  EXPECT_EQ(ErrorOfPayload(R"({"exp": 1800000000.5})"), "");
  EXPECT_EQ(ErrorOfPayload(R"({"exp": 1800000000})"), "the token has expired");
  EXPECT_EQ(ErrorOfPayload(R"({"exp": 1800000060, "nbf": 1800000000, "iat": 1800000000})"), "");
  EXPECT_THAT(ErrorOfPayload(R"({"exp": 1800000060, "nbf": 1800000001})"), HasSubstr("not valid yet"));
  EXPECT_THAT(ErrorOfPayload(R"({"exp": 1800000060, "iat": 1800000001})"), HasSubstr("issued in the future"));
  EXPECT_THAT(ErrorOfPayload(R"({"exp": 1800000060, "nbf": "now"})"), HasSubstr("the token's nbf is no number"));
  EXPECT_THAT(ErrorOfPayload(R"({"exp": 1800000060, "iat": "now"})"), HasSubstr("the token's iat is no number"));
}

TEST(ClaimsTest, TheLeewayIsForClocksThatDiffer) {
  const TokenRules rules = WithLeeway(absl::Seconds(10));
  EXPECT_EQ(ErrorOfPayload(R"({"exp": 1799999991})", rules), "");
  EXPECT_EQ(ErrorOfPayload(R"({"exp": 1799999990})", rules), "the token has expired");
  EXPECT_EQ(ErrorOfPayload(R"({"exp": 1800000060, "nbf": 1800000010, "iat": 1800000010})", rules), "");
  EXPECT_NE(ErrorOfPayload(R"({"exp": 1800000060, "nbf": 1800000011})", rules), "");
  EXPECT_NE(ErrorOfPayload(R"({"exp": 1800000060, "iat": 1800000011})", rules), "");
}

TEST(ClaimsTest, WhoComesWithinTheLeewayStaysAsLong) {
  const auto expires = [](absl::string_view payload) {
    return Verify(HsToken(payload), {SecretKey()}, WithLeeway(absl::Seconds(10)))->expires;
  };
  EXPECT_EQ(expires(R"({"exp": 1800000005})"), absl::FromUnixSeconds(1'800'000'005));
  EXPECT_EQ(expires(R"({"exp": 1799999995})"), absl::FromUnixSeconds(1'800'000'005));
}

TEST(ClaimsTest, IssuerAndAudienceAreTheConfiguredOnes) {
  const TokenRules rules = WithIssuerAndAudience("https://id.example", "bridge");
  const auto error = [&](absl::string_view claims) {
    return ErrorOfPayload(absl::StrCat(R"({"exp": 1800000060)", claims, "}"), rules);
  };
  EXPECT_EQ(error(R"(, "iss": "https://id.example", "aud": "bridge")"), "");
  EXPECT_EQ(error(R"(, "iss": "https://id.example", "aud": ["other", "bridge"])"), "");
  for (const char* const iss : {"", R"(, "iss": "https://id.example/")", R"(, "iss": ["https://id.example"])"}) {
    EXPECT_EQ(error(absl::StrCat(iss, R"(, "aud": "bridge")")), R"(the token's iss is not "https://id.example")")
        << iss;
  }
  for (const char* const aud : {"", R"(, "aud": "bridge2")", R"(, "aud": [])", R"(, "aud": {"bridge": 1})"}) {
    EXPECT_EQ(error(absl::StrCat(R"(, "iss": "https://id.example")", aud)), R"(the token's aud does not name "bridge")")
        << aud;
  }
}

TEST(ClaimsTest, TheSubjectIsAShortText) {
  EXPECT_EQ(ErrorOfPayload(R"({"exp": 1800000060, "sub": ""})"), "");
  EXPECT_THAT(ErrorOfPayload(R"({"exp": 1800000060, "sub": 7})"), HasSubstr("the token's sub is not a text"));
  EXPECT_THAT(ErrorOfPayload(absl::StrCat(R"({"exp": 1800000060, "sub": ")", std::string(256, 'a'), R"("})")),
              HasSubstr("at most 255 bytes"));
}

TEST(ClaimsTest, PatternsAreWhereTheConfigurationSays) {
  const auto subscribe = [](absl::string_view claims, absl::string_view path) {
    TokenRules rules;
    rules.subscribe_claim = std::string(path);
    const absl::StatusOr<Identity> identity =
        Verify(HsToken(absl::StrCat(R"({"exp": 1800000060, )", claims, "}")), {SecretKey()}, std::move(rules));
    EXPECT_TRUE(identity.ok()) << identity.status();
    return identity.ok() ? absl::StrJoin(identity->subscribe.texts(), " ") : "";
  };
  EXPECT_EQ(subscribe(R"("bridge.subscribe": ["a"], "bridge": {"subscribe": ["b"]})", "bridge.subscribe"), "a");
  EXPECT_EQ(subscribe(R"("https://a.example/topics": ["a"])", "https://a.example/topics"), "a");
  EXPECT_EQ(subscribe(R"("https://a.example": {"topics": {"read": ["a"]}})", "https://a.example.topics.read"), "a");
  EXPECT_EQ(subscribe(R"("topics": ["a"])", "topics"), "a");
  EXPECT_EQ(subscribe(R"("topics": ["a"])", "bridge.subscribe"), "");
  EXPECT_EQ(subscribe(R"("bridge": ["a"])", "bridge.subscribe"), "");
}

TEST(ClaimsTest, PatternsArePatternsAndNotTooMany) {
  const auto error = [](absl::string_view patterns) {
    return ErrorOfPayload(absl::StrCat(R"({"exp": 1800000060, "bridge": {"subscribe": )", patterns, "}}"));
  };
  EXPECT_EQ(error("[]"), "");
  for (const char* const patterns : {R"("a b")", "1", "{}", "null", R"(["a", 1])", R"([["a"]])"}) {
    EXPECT_THAT(error(patterns), HasSubstr("the token's bridge.subscribe is no list of patterns")) << patterns;
  }
  EXPECT_THAT(error(R"(["a", "b..c"])"), AllOf(HasSubstr("the token's bridge.subscribe: "), HasSubstr("b..c")));
  const auto many = [](int count) {
    return absl::StrCat("[", absl::StrJoin(std::vector<std::string>(static_cast<size_t>(count), "\"a\""), ","), "]");
  };
  EXPECT_EQ(error(many(1000)), "");
  EXPECT_THAT(error(many(1001)), HasSubstr("1001 patterns; at most 1000 are accepted"));
  EXPECT_THAT(ErrorOfPayload(R"({"exp": 1800000060, "bridge": {"publish": "a"}})"), HasSubstr("bridge.publish"));
  EXPECT_THAT(ErrorOfPayload(R"({"exp": 1800000060, "bridge": {"call": "a"}})"), HasSubstr("bridge.call"));
  EXPECT_THAT(ErrorOfPayload(R"({"exp": 1800000060, "bridge": {"serve": "a"}})"), HasSubstr("bridge.serve"));
}

TEST(ClaimsTest, AreNotLookedAtBeforeTheSignature) {
  const std::string token = test::SignToken("{}", test::SecretSigner(std::string(64, 'x')));
  EXPECT_EQ(ErrorOf(token, {SecretKey()}), "the token's signature is wrong");
}

TEST(KidTest, SelectsTheKey) {
  const SigningKey signer = test::SecretSigner(kSecret);
  const auto error = [&](absl::string_view kid, std::vector<Key> keys) {
    return ErrorOf(
        test::SignToken(absl::StrCat(R"({"alg": "HS256", "kid": )", kid, "}"), R"({"exp": 1800000060})", signer),
        std::move(keys));
  };
  const Key other = *Key::FromSecret({.kid = "b", .algorithm = Algorithm::kHs256}, std::string(64, 'x'));
  const Key mine = SecretKey(Algorithm::kHs256, "a");
  EXPECT_EQ(error(R"("a")", {other, mine}), "");
  EXPECT_EQ(error(R"("b")", {other, mine}), "the token's signature is wrong");
  EXPECT_EQ(error(R"("c")", {other, mine}), "no key for HS256 has the token's kid");
  EXPECT_EQ(error(R"("c")", {other, SecretKey()}), "") << "a key without a kid may be any";
  EXPECT_EQ(error(R"("b")", {other, SecretKey()}), "the token's signature is wrong");
  for (const std::string kid : {"1", "null", R"("")", R"(["a"])", R"({})"}) {
    EXPECT_THAT(error(kid, {other, mine}), HasSubstr("the token's kid is not a text")) << kid;
  }
  EXPECT_THAT(error(absl::StrCat("\"", std::string(257, 'a'), "\""), {mine}),
              HasSubstr("the token's kid is not a text"));
}

TEST(KidTest, WithoutOneAFewKeysAreTried) {
  std::vector<Key> keys(TokenVerifier::kKeysTriedMax - 1, *Key::FromSecret({}, std::string(64, 'x')));
  keys.push_back(SecretKey());
  EXPECT_EQ(ErrorOf(HsToken(R"({"exp": 1800000060})"), keys), "");
  keys.insert(keys.begin(), *Key::FromSecret({}, std::string(64, 'y')));
  EXPECT_THAT(ErrorOf(HsToken(R"({"exp": 1800000060})"), keys), HasSubstr("the first 4 keys did not sign the token"));
}

TEST(KidTest, AnUnknownOneMayStillCome) {
  FixedKeys files({SecretKey(Algorithm::kHs256, "a")});
  FixedKeys fetched({});
  const TokenVerifier verifier({}, {&files, &fetched});
  const auto status = [&](absl::string_view kid) {
    return verifier
        .Verify(HsToken(absl::StrCat(R"({"alg": "HS256", "kid": ")", kid, R"("})"), R"({"exp": 1800000060})"),
                absl::FromUnixSeconds(kNow))
        .status();
  };
  EXPECT_TRUE(status("a").ok());
  EXPECT_THAT(fetched.asked, ElementsAre());
  EXPECT_EQ(status("b").code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(fetched.asked, ElementsAre("b"));
  fetched.may_still_come = true;
  EXPECT_EQ(status("b").code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace bridge::auth
