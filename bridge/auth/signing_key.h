#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "bridge/auth/algorithm.h"
#include "bridge/auth/hmac.h"
#include "bridge/auth/openssl.h"

namespace bridge::auth {

// A key that signs. A value, immutable and thread-safe.
class SigningKey {
 public:
  // `bytes` is a private key in PEM, without a passphrase, or else a secret, one line feed at its end dropped. Without
  // an `algorithm` the key's kind says it: HS256, RS256, ES256, ES384 or EdDSA. INVALID_ARGUMENT goes on from a key
  // that is already named.
  static absl::StatusOr<SigningKey> Parse(absl::string_view bytes, std::optional<Algorithm> algorithm = std::nullopt);

  // REQUIRES: `algorithm` takes a secret.
  static absl::StatusOr<SigningKey> FromSecret(Algorithm algorithm, absl::string_view secret);

  Algorithm algorithm() const { return algorithm_; }

  // The signature as RFC 7518 writes it. INTERNAL: OpenSSL fails.
  absl::StatusOr<std::string> Sign(absl::string_view text) const;

 private:
  explicit SigningKey(Algorithm algorithm) : algorithm_(algorithm) {}

  Algorithm algorithm_;
  // Where the algorithm takes a secret.
  std::optional<Hmac> hmac_;
  // Else.
  std::shared_ptr<EVP_PKEY> private_key_;
};

}  // namespace bridge::auth
