#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace bridge::auth {

// How a token may be signed (RFC 7518 §3.1, RFC 8037). There is no "none".
enum class Algorithm : uint8_t { kHs256, kHs384, kHs512, kRs256, kRs384, kRs512, kPs256, kEs256, kEs384, kEdDsa };

// What kind of key an algorithm takes; it takes no other.
enum class KeyType : uint8_t { kSecret, kRsa, kP256, kP384, kEd25519 };

// As a token's "alg" names it: "HS256".
std::optional<Algorithm> ParseAlgorithm(absl::string_view name);
absl::string_view NameOf(Algorithm algorithm);
// Of all: "HS256, HS384, ...".
std::string AlgorithmNames();

KeyType KeyTypeOf(Algorithm algorithm);
// For error messages: "an RSA key".
absl::string_view NameOf(KeyType type);

// OpenSSL's name of the digest: "SHA256"; null for EdDSA, which brings its own.
const char* DigestOf(Algorithm algorithm);
// The smallest secret of an HMAC is as long as its digest (RFC 7518 §3.2). REQUIRES: of KeyType::kSecret.
size_t SecretBytesMin(Algorithm algorithm);

}  // namespace bridge::auth
