#include "bridge/auth/key.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/err.h>

#include "tests/support/tokens.h"

namespace bridge::auth {
namespace {

using ::testing::HasSubstr;

std::string ErrorOf(const std::string& pem, std::optional<Algorithm> algorithm = std::nullopt) {
  return std::string(Key::FromPem({.kid = "", .algorithm = algorithm}, pem).status().message());
}

TEST(KeyTest, APublicKeyOrItsCertificateVerifies) {
  for (const test::KeyPair& pair : {test::SharedRsaKeyPair(), test::MakeEcKeyPair("P-256"),
                                    test::MakeEcKeyPair("P-384"), test::MakeEd25519KeyPair()}) {
    const SigningKey signer = pair.Signer();
    EXPECT_TRUE(Key::FromPem({}, pair.public_pem)->Verifies(signer.algorithm(), "text", *signer.Sign("text")));
    if (signer.algorithm() != Algorithm::kEdDsa) {
      EXPECT_TRUE(
          Key::FromPem({}, test::MakeCertificate(pair))->Verifies(signer.algorithm(), "text", *signer.Sign("text")));
    }
  }
}

TEST(KeyTest, APrivateKeyIsNotWanted) {
  EXPECT_THAT(ErrorOf(test::SharedRsaKeyPair().private_pem),
              HasSubstr("is a private key: the bridge needs the public one"));
}

TEST(KeyTest, WhatIsNoKeyIsRefused) {
  for (const char* const pem : {"", "secret", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
                                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}) {
    EXPECT_THAT(ErrorOf(pem), HasSubstr("is neither a public key")) << pem;
  }
}

TEST(KeyTest, SmallAndUnknownKeysAreRefused) {
  EXPECT_THAT(ErrorOf(test::MakeRsaKeyPair(1024).public_pem),
              HasSubstr("is an RSA key of 1024 bits; from 2048 to 8192"));
  EXPECT_THAT(ErrorOf(test::MakeEcKeyPair("P-521").public_pem), HasSubstr("is of a kind that signs no tokens here"));
  EXPECT_THAT(ErrorOf(test::MakeEcKeyPair("secp256k1").public_pem),
              HasSubstr("is of a kind that signs no tokens here"));
}

TEST(KeyTest, TheAlgorithmIsTheKeysKind) {
  const std::string p384 = test::MakeEcKeyPair("P-384").public_pem;
  EXPECT_EQ(ErrorOf(p384, Algorithm::kEs384), "");
  EXPECT_EQ(ErrorOf(p384, Algorithm::kEs256), "is a P-384 key; ES256 takes a P-256 key");
  EXPECT_EQ(ErrorOf(p384, Algorithm::kHs256), "is a P-384 key; HS256 takes a secret");
}

TEST(KeyTest, ASecretIsAsLongAsItsDigest) {
  const auto error = [](size_t bytes, Algorithm algorithm) {
    return std::string(
        Key::FromSecret({.kid = "", .algorithm = algorithm}, std::string(bytes, 'a')).status().message());
  };
  EXPECT_EQ(error(32, Algorithm::kHs256), "");
  EXPECT_EQ(error(48, Algorithm::kHs384), "");
  EXPECT_EQ(error(64, Algorithm::kHs512), "");
  EXPECT_THAT(error(31, Algorithm::kHs256), HasSubstr("has 31 bytes; a secret for HS256 has at least 32"));
  EXPECT_THAT(error(47, Algorithm::kHs384), HasSubstr("at least 48"));
  EXPECT_THAT(error(63, Algorithm::kHs512), HasSubstr("at least 64"));
}

TEST(KeyTest, FailuresLeaveNothingInTheQueueOfErrors) {
  const test::KeyPair pair = test::MakeEcKeyPair("P-256");
  ERR_clear_error();
  EXPECT_NE(ErrorOf("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"), "");
  EXPECT_FALSE(Key::FromPem({}, pair.public_pem)->Verifies(Algorithm::kEs256, "text", std::string(64, '\xFF')));
  EXPECT_FALSE(SigningKey::Parse("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").ok());
  EXPECT_EQ(ERR_peek_error(), 0UL) << "TLS on this thread would take it for its own";
}

}  // namespace
}  // namespace bridge::auth
