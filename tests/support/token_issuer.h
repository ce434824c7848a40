#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "tests/support/temp_dir.h"

namespace bridge::test {

// Who gives out tokens: a secret in a file of its own, a bridge's settings that name it, and tokens that it signs.
class TokenIssuer {
 public:
  explicit TokenIssuer(absl::string_view secret = "a secret of the tests, of 32 bytes and more");

  // For BridgeProcess: this key, and everybody may publish.
  std::vector<std::string> Settings(const std::vector<std::string>& more = {}) const;
  const std::string& secret_path() const { return secret_path_; }
  // From now on it signs with another secret, which it writes into the file.
  void Change(absl::string_view secret);

  // Lets `subject` subscribe to patterns, in JSON: R"("orders.>", "a.*")". A lifetime below zero has passed.
  std::string Token(absl::string_view patterns, absl::Duration lifetime = absl::Hours(1),
                    absl::string_view subject = "ann") const;
  // With further claims, such as R"("aud": "x")".
  std::string TokenWith(absl::string_view claims, absl::string_view patterns) const;
  // "Authorization: Bearer ...", with its CR LF.
  std::string Bearer(absl::string_view patterns, absl::Duration lifetime = absl::Hours(1)) const;

 private:
  TempDir dir_;
  std::string secret_path_;
  std::string secret_;
};

// The header of a request, with its CR LF.
std::string BearerHeader(absl::string_view token);

}  // namespace bridge::test
