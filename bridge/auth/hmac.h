#pragma once

#include <memory>
#include <string>

#include "absl/strings/string_view.h"

#include "bridge/auth/algorithm.h"
#include "bridge/auth/openssl.h"

namespace bridge::auth {

// HMAC with a secret. Finding the algorithm and hashing the secret takes OpenSSL as long as a token's text, and is done
// once. A value, immutable and thread-safe; copies share what is prepared.
class Hmac {
 public:
  // REQUIRES: `algorithm` takes a secret.
  Hmac(Algorithm algorithm, absl::string_view secret);

  // As long as the digest. Empty: OpenSSL fails.
  std::string Of(absl::string_view text) const;

 private:
  // With the secret and without a text; null where OpenSSL fails.
  std::shared_ptr<const EVP_MAC_CTX> prepared_;
};

}  // namespace bridge::auth
