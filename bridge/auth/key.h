#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "bridge/auth/algorithm.h"
#include "bridge/auth/hmac.h"
#include "bridge/auth/openssl.h"

namespace bridge::auth {

// A key that verifies tokens, bound to its kind: a public key is never taken for a secret, nor a P-384 key for ES256.
//
// A value, immutable and thread-safe; copies share the key. The errors (INVALID_ARGUMENT) go on from a key that is
// already named: "has 12 bytes; ...".
class Key {
 public:
  struct Name {
    // Empty: the key has none.
    std::string kid;
    // Without one the key is for every algorithm of its kind.
    std::optional<Algorithm> algorithm;
  };

  // A secret shorter than its digest is refused (RFC 7518 §3.2). REQUIRES: the algorithm, if any, takes a secret.
  static absl::StatusOr<Key> FromSecret(Name name, absl::string_view secret);
  // A public key (PUBLIC KEY) or a certificate in PEM, whose signature and dates are not looked at: who writes the file
  // is trusted. RSA keys of 2,048 to 8,192 bits, P-256, P-384, Ed25519.
  static absl::StatusOr<Key> FromPem(Name name, absl::string_view pem);
  static absl::StatusOr<Key> FromOpenssl(Name name, EvpPkeyPtr key);

  const std::string& kid() const { return name_.kid; }
  bool IsFor(Algorithm algorithm) const;

  // Whether `signature` is this key's of `text`, as RFC 7518 writes it (that of ES256 is r and s, each 32 bytes).
  // False for an algorithm that the key is not for. Takes from 1 µs (HMAC) to 700 µs (P-384).
  bool Verifies(Algorithm algorithm, absl::string_view text, absl::string_view signature) const;

 private:
  Key(Name name, KeyType type) : name_(std::move(name)), type_(type) {}

  Name name_;
  KeyType type_;
  // Of KeyType::kSecret: for each algorithm that the key is for.
  std::map<Algorithm, Hmac> hmacs_;
  // Of the others.
  std::shared_ptr<EVP_PKEY> public_key_;
};

// What kind of key OpenSSL's `key` is. INVALID_ARGUMENT: none that is used here.
absl::StatusOr<KeyType> TypeOf(const EVP_PKEY& key);

// The bytes of r and of s in a signature of an EC key.
size_t EcPartBytes(KeyType type);

}  // namespace bridge::auth
