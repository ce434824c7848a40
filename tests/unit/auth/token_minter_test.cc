#include "bridge/auth/token_minter.h"

#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/tokens.h"

#include "bridge/auth/token_verifier.h"

namespace bridge::auth {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

class OneKey : public KeySource {
 public:
  explicit OneKey(const Key& key) : keys_(std::make_shared<const KeySet>(std::vector<Key>{key})) {}
  std::shared_ptr<const KeySet> Keys() const override { return keys_; }
  bool MayStillCome(absl::string_view) override { return false; }

 private:
  const std::shared_ptr<const KeySet> keys_;
};

TokenContents Contents() {
  TokenContents contents;
  contents.subject = "ann";
  contents.issuer = "test";
  contents.audience = "bridge";
  contents.subscribe = {"orders.>"};
  contents.publish = {"a", "b.*"};
  contents.call = {"chat"};
  contents.serve = {"chat", "reports.*"};
  return contents;
}

TEST(TokenMinterTest, WhatItMakesIsVerified) {
  const std::string secret(32, 'a');
  const test::KeyPair& rsa = test::SharedRsaKeyPair();
  const test::KeyPair p256 = test::MakeEcKeyPair("P-256");
  const test::KeyPair p384 = test::MakeEcKeyPair("P-384");
  struct Case {
    std::string file;
    Key key;
  };
  for (const Case& c :
       {Case{secret + "\n", *Key::FromSecret({.kid = "k", .algorithm = Algorithm::kHs256}, secret)},
        Case{rsa.private_pem, *Key::FromPem({.kid = "k", .algorithm = Algorithm::kRs256}, rsa.public_pem)},
        Case{p256.private_pem, *Key::FromPem({.kid = "k", .algorithm = Algorithm::kEs256}, p256.public_pem)},
        Case{p384.private_pem, *Key::FromPem({.kid = "k", .algorithm = Algorithm::kEs384}, p384.public_pem)}}) {
    const TokenMinter minter(*SigningKey::Parse(c.file), "k");
    const absl::StatusOr<std::string> token = minter.Mint(Contents(), absl::Hours(1), kNow);
    ASSERT_TRUE(token.ok()) << token.status();
    OneKey source(c.key);
    TokenRules rules;
    rules.issuer = "test";
    rules.audience = "bridge";
    const absl::StatusOr<Identity> identity = TokenVerifier(rules, {&source}).Verify(*token, kNow);
    ASSERT_TRUE(identity.ok()) << identity.status();
    EXPECT_EQ(identity->subject, "ann");
    EXPECT_EQ(identity->expires, kNow + absl::Hours(1));
    EXPECT_THAT(identity->subscribe.texts(), ElementsAre("orders.>"));
    EXPECT_THAT(identity->publish.texts(), ElementsAre("a", "b.*"));
    EXPECT_THAT(identity->call.texts(), ElementsAre("chat"));
    EXPECT_THAT(identity->serve.texts(), ElementsAre("chat", "reports.*"));
  }
}

TEST(TokenMinterTest, WhatTheBridgeWouldRefuseIsNotMade) {
  const TokenMinter minter(*SigningKey::Parse(std::string(32, 'a')));
  const auto error = [&](const TokenContents& contents, absl::Duration ttl) {
    return std::string(minter.Mint(contents, ttl, kNow).status().message());
  };
  EXPECT_THAT(error(Contents(), absl::Milliseconds(999)), HasSubstr("is too short"));
  TokenContents contents = Contents();
  contents.subscribe = {"a..b"};
  EXPECT_THAT(error(contents, absl::Hours(1)), HasSubstr("a..b"));
  contents.subscribe = std::vector<std::string>(1000, std::string(100, 'a'));
  EXPECT_THAT(error(contents, absl::Hours(1)), HasSubstr("at most 8192 are accepted"));
}

TEST(TokenMinterTest, AKeyIsAPrivateOneOrALongEnoughSecret) {
  const auto error = [](const std::string& bytes, std::optional<Algorithm> algorithm = std::nullopt) {
    return std::string(SigningKey::Parse(bytes, algorithm).status().message());
  };
  EXPECT_THAT(error("short"), HasSubstr("has 5 bytes; a secret for HS256 has at least 32"));
  EXPECT_THAT(error(test::SharedRsaKeyPair().public_pem), HasSubstr("is no private key in PEM"));
  EXPECT_THAT(error(std::string(64, 'a'), Algorithm::kRs256),
              HasSubstr("is no private key in PEM; RS256 takes an RSA key"));
  EXPECT_THAT(error(test::MakeEcKeyPair("P-256").private_pem, Algorithm::kEs384), HasSubstr("ES384 takes a P-384 key"));
}

}  // namespace
}  // namespace bridge::auth
