#include "bridge/auth/jwks.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "tests/support/tokens.h"

#include "bridge/auth/base64url.h"

namespace bridge::auth {
namespace {

using ::testing::HasSubstr;

std::string SetOf(const std::vector<std::string>& keys) {
  return absl::StrCat(R"({"keys": [)", absl::StrJoin(keys, ", "), "]}");
}

std::string Oct(size_t bytes, absl::string_view more = "") {
  return absl::StrCat(R"({"kty": "oct", "k": ")", EncodeBase64Url(std::string(bytes, 'a')), "\"", more, "}");
}

// Why a set with that key alone is refused; empty where it is taken.
std::string ErrorOf(const std::string& key, JwksSecrets secrets = JwksSecrets::kAccepted) {
  return std::string(ParseJwks(SetOf({key}), secrets).status().message());
}

TEST(JwksTest, AKeyVerifiesWhatItsPrivateKeySigned) {
  for (const test::KeyPair& pair : {test::SharedRsaKeyPair(), test::MakeEcKeyPair("P-256"),
                                    test::MakeEcKeyPair("P-384"), test::MakeEd25519KeyPair()}) {
    const absl::StatusOr<std::vector<Key>> keys =
        ParseJwks(SetOf({test::ToJwk(pair, R"(, "kid": "a", "use": "sig")")}), JwksSecrets::kIgnored);
    ASSERT_TRUE(keys.ok()) << keys.status();
    const SigningKey signer = pair.Signer();
    EXPECT_EQ(keys->front().kid(), "a");
    EXPECT_TRUE(keys->front().Verifies(signer.algorithm(), "text", *signer.Sign("text"))) << NameOf(signer.algorithm());
    EXPECT_FALSE(keys->front().Verifies(signer.algorithm(), "test", *signer.Sign("text")))
        << NameOf(signer.algorithm());
  }
}

TEST(JwksTest, AlgBindsAKeyToOneAlgorithm) {
  const std::string free = test::ToJwk(test::SharedRsaKeyPair());
  const std::string bound = absl::StrReplaceAll(free, {{R"("kty")", R"("alg": "RS384", "kty")"}});
  const std::vector<Key> keys = *ParseJwks(SetOf({free, bound}), JwksSecrets::kIgnored);
  EXPECT_TRUE(keys[0].IsFor(Algorithm::kRs256));
  EXPECT_TRUE(keys[0].IsFor(Algorithm::kPs256));
  EXPECT_FALSE(keys[1].IsFor(Algorithm::kRs256));
  EXPECT_TRUE(keys[1].IsFor(Algorithm::kRs384));
  EXPECT_FALSE(keys[0].IsFor(Algorithm::kHs256));
}

TEST(JwksTest, ASecretIsLongEnoughForItsAlgorithm) {
  EXPECT_EQ(ErrorOf(Oct(32)), "");
  EXPECT_THAT(ErrorOf(Oct(31)), HasSubstr("has 31 bytes; a secret for HS256 has at least 32"));
  EXPECT_THAT(ErrorOf(Oct(63, R"(, "alg": "HS512")")), HasSubstr("a secret for HS512 has at least 64"));
  const Key key = ParseJwks(SetOf({Oct(48)}), JwksSecrets::kAccepted)->front();
  EXPECT_TRUE(key.IsFor(Algorithm::kHs384));
  EXPECT_FALSE(key.IsFor(Algorithm::kHs512));
  EXPECT_THAT(ErrorOf(Oct(64, R"(, "alg": "RS256")")),
              HasSubstr("is a secret for an algorithm that takes public keys"));
}

TEST(JwksTest, WhatIsAtAUrlIsNoSecret) {
  EXPECT_THAT(ErrorOf(Oct(32), JwksSecrets::kIgnored),
              HasSubstr("is a secret (kty oct), and what is at a URL is none"));
}

TEST(JwksTest, KeysThatVerifyNothingHereAreIgnored) {
  const test::KeyPair ec = test::MakeEcKeyPair("P-256");
  const std::string good = test::ToJwk(ec, R"(, "kid": "good")");
  const std::vector<std::string> ignored = {
      test::ToJwk(ec, R"(, "use": "enc")"),
      test::ToJwk(ec, R"(, "use": 1)"),
      test::ToJwk(ec, R"(, "key_ops": ["sign"])"),
      test::ToJwk(ec, R"(, "key_ops": "verify")"),
      test::ToJwk(ec, R"(, "alg": "ES384")"),
      test::ToJwk(ec, R"(, "alg": "ECDH-ES")"),
      test::ToJwk(ec, R"(, "alg": 1)"),
      test::ToJwk(test::MakeEcKeyPair("P-521")),
      test::ToJwk(test::MakeRsaKeyPair(1024)),
      absl::StrReplaceAll(good, {{R"("kty": "EC")", R"("kty": "ec")"}}),
      absl::StrReplaceAll(good, {{R"("kty": "EC")", R"("kty": "new")"}}),
      absl::StrReplaceAll(good, {{R"("kty": "EC", )", ""}}),
      absl::StrReplaceAll(good, {{"P-256", "P-384"}}),
      absl::StrReplaceAll(good, {{R"("x": ")", R"("x": "=)"}}),
      absl::StrReplaceAll(good, {{R"("y")", R"("z")"}}),
      R"({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", )"
      R"("y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a1"})",
      R"({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", )"
      R"("y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5aw"})",
      R"({"kty": "OKP", "crv": "X25519", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"})",
      R"({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"})",
      absl::StrCat(R"({"kty": "RSA", "e": "AQAB", "n": ")", std::string(4000, 'A'), "\"}"),
      R"({"kty": "RSA", "x5c": ["MIIB"], "x5u": "http://127.0.0.1:9/"})",
      "{}",
      "1",
      "null",
      "[]"};
  for (const std::string& key : ignored) {
    EXPECT_THAT(ErrorOf(key), HasSubstr("has no key that verifies tokens; the first one ")) << key;
    const absl::StatusOr<std::vector<Key>> keys = ParseJwks(SetOf({key, good}), JwksSecrets::kAccepted);
    ASSERT_TRUE(keys.ok()) << keys.status();
    ASSERT_EQ(keys->size(), 1U) << key;
    EXPECT_EQ(keys->front().kid(), "good");
  }
}

TEST(JwksTest, AnRsaKeysExponentIsSound) {
  const std::string good = test::ToJwk(test::SharedRsaKeyPair());
  EXPECT_EQ(ErrorOf(good), "");
  for (const char* const e : {"AQ", "AAAA", "AQAAAAAAAAAAAQ"}) {
    EXPECT_THAT(ErrorOf(absl::StrReplaceAll(good, {{"AQAB", e}})), HasSubstr("has no key that verifies tokens")) << e;
  }
}

TEST(JwksTest, IsAnObjectWithAListOfKeys) {
  EXPECT_TRUE(ParseJwks(R"({"keys": []})", JwksSecrets::kIgnored)->empty()) << "somebody has taken all of them back";
  for (const char* const text :
       {"", "[]", "{}", R"({"keys": {}})", R"({"keys": 1})", R"({"keys": [], "keys": []})", "{\"keys\": [\xFF]}"}) {
    EXPECT_FALSE(ParseJwks(text, JwksSecrets::kIgnored).ok()) << text;
  }
  EXPECT_FALSE(ParseJwks(std::string(100'000, '['), JwksSecrets::kIgnored).ok());
}

TEST(JwksTest, BytesAndKeysAreBounded) {
  EXPECT_THAT(
      std::string(ParseJwks(SetOf(std::vector<std::string>(101, Oct(32))), JwksSecrets::kAccepted).status().message()),
      HasSubstr("has 101 keys; at most 100"));
  EXPECT_EQ(ParseJwks(SetOf(std::vector<std::string>(100, Oct(32))), JwksSecrets::kAccepted)->size(), 100U);
  const std::string large = absl::StrCat(R"({"keys": [], "a": ")", std::string(kJwksBytesMax, 'a'), "\"}");
  EXPECT_THAT(std::string(ParseJwks(large, JwksSecrets::kAccepted).status().message()),
              HasSubstr("a key set has at most 262144"));
}

TEST(JwksTest, ErrorsShowNoKey) {
  for (const std::string& key : {Oct(31), Oct(64, R"(, "alg": "RS256")"), Oct(32, R"(, "use": "enc")")}) {
    EXPECT_THAT(ErrorOf(key), ::testing::Not(HasSubstr("YWFh"))) << key;
  }
}

}  // namespace
}  // namespace bridge::auth
