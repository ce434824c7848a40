#include "tests/support/token_issuer.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/files.h"
#include "tests/support/tokens.h"

namespace bridge::test {

TokenIssuer::TokenIssuer(absl::string_view secret) : secret_path_(dir_.path() + "/secret") { Change(secret); }

void TokenIssuer::Change(absl::string_view secret) {
  secret_ = std::string(secret);
  ReplaceFile(secret_path_, secret_ + "\n");
}

std::vector<std::string> TokenIssuer::Settings(const std::vector<std::string>& more) const {
  std::vector<std::string> settings = {
      absl::StrCat("auth.jwt.keys=[{algorithm: HS256, secret_file: ", secret_path_, "}]"),
      "auth.anonymous.publish=['>']"};
  settings.insert(settings.end(), more.begin(), more.end());
  return settings;
}

std::string TokenIssuer::Token(absl::string_view patterns, absl::Duration lifetime, absl::string_view subject) const {
  return SignToken(absl::StrCat(R"({"exp": )", absl::ToUnixSeconds(absl::Now() + lifetime), R"(, "sub": ")", subject,
                                R"(", "bridge": {"subscribe": [)", patterns, "]}}"),
                   SecretSigner(secret_));
}

std::string TokenIssuer::TokenWith(absl::string_view claims, absl::string_view patterns) const {
  return SignToken(absl::StrCat("{", claims, R"(, "bridge": {"subscribe": [)", patterns, "]}}"), SecretSigner(secret_));
}

std::string TokenIssuer::Bearer(absl::string_view patterns, absl::Duration lifetime) const {
  return BearerHeader(Token(patterns, lifetime));
}

std::string BearerHeader(absl::string_view token) { return absl::StrCat("Authorization: Bearer ", token, "\r\n"); }

}  // namespace bridge::test
