#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "tests/support/tokens.h"

#include "bridge/auth/key.h"
#include "bridge/auth/token_verifier.h"

// What the tests of TokenVerifier have in common: tokens, keys, and a moment at which they are verified.
namespace bridge::auth {

inline constexpr int64_t kNow = 1'800'000'000;
inline constexpr char kSecret[] = "a secret of at least 64 bytes, so that it is long enough for every HMAC";

class FixedKeys : public KeySource {
 public:
  explicit FixedKeys(std::vector<Key> keys) : keys_(std::make_shared<const KeySet>(std::move(keys))) {}

  std::shared_ptr<const KeySet> Keys() const override { return keys_; }
  bool MayStillCome(absl::string_view kid) override {
    asked.emplace_back(kid);
    return may_still_come;
  }

  std::vector<std::string> asked;
  bool may_still_come = false;

 private:
  std::shared_ptr<const KeySet> keys_;
};

inline Key SecretKey(Algorithm algorithm = Algorithm::kHs256, const std::string& kid = "") {
  return *Key::FromSecret({.kid = kid, .algorithm = algorithm}, kSecret);
}

inline Key PublicKey(const test::KeyPair& pair, std::optional<Algorithm> algorithm = std::nullopt,
                     const std::string& kid = "") {
  return *Key::FromPem({.kid = kid, .algorithm = algorithm}, pair.public_pem);
}

inline TokenRules WithLeeway(absl::Duration leeway) {
  TokenRules rules;
  rules.leeway = leeway;
  return rules;
}

inline TokenRules WithAlgorithms(std::vector<Algorithm> algorithms) {
  TokenRules rules;
  rules.algorithms = std::move(algorithms);
  return rules;
}

inline TokenRules WithIssuerAndAudience(absl::string_view issuer, absl::string_view audience) {
  TokenRules rules;
  rules.issuer = std::string(issuer);
  rules.audience = std::string(audience);
  return rules;
}

inline absl::StatusOr<Identity> Verify(const std::string& token, std::vector<Key> keys, TokenRules rules = {},
                                       int64_t now = kNow) {
  FixedKeys source(std::move(keys));
  return TokenVerifier(std::move(rules), {&source}).Verify(token, absl::FromUnixSeconds(now));
}

// What is wrong with `token`, and it is the client's; empty where nothing is.
inline std::string ErrorOf(const std::string& token, std::vector<Key> keys, TokenRules rules = {}, int64_t now = kNow) {
  const absl::Status status = Verify(token, std::move(keys), std::move(rules), now).status();
  EXPECT_TRUE(status.ok() || status.code() == absl::StatusCode::kUnauthenticated) << status;
  for (const absl::string_view part : absl::StrSplit(token, '.')) {
    EXPECT_TRUE(part.size() < 8 || !absl::StrContains(status.message(), part.substr(0, 8))) << status;
  }
  return std::string(status.message());
}

inline const test::KeyPair& Rsa() { return test::SharedRsaKeyPair(); }

inline std::string HsToken(absl::string_view payload) { return test::SignToken(payload, test::SecretSigner(kSecret)); }
inline std::string HsToken(absl::string_view header, absl::string_view payload) {
  return test::SignToken(header, payload, test::SecretSigner(kSecret));
}
inline std::string ErrorOfPayload(absl::string_view payload, TokenRules rules = {}) {
  return ErrorOf(HsToken(payload), {SecretKey()}, std::move(rules));
}
inline std::string ErrorOfHeader(absl::string_view header) {
  return ErrorOf(HsToken(header, R"({"exp": 1800000060})"), {SecretKey()});
}

}  // namespace bridge::auth
