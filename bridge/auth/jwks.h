#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "bridge/auth/key.h"

namespace bridge::auth {

// Providers publish a handful of keys, some with their certificates.
constexpr size_t kJwksBytesMax = size_t{256} << 10;
constexpr size_t kJwksKeysMax = 100;

// Whether a key set may hold secrets (kty "oct"). What can be read at a URL is none.
enum class JwksSecrets : uint8_t { kAccepted, kIgnored };

// The keys of a JWK Set (RFC 7517 §5) that verify tokens: kty RSA, EC (P-256, P-384), OKP (Ed25519) and oct. Others are
// ignored, as the RFC wants it: for encryption ("use", "key_ops"), of an unknown kind or algorithm, malformed.
// Certificates and URLs in them (x5c, x5u) are not looked at.
//
// INVALID_ARGUMENT: the text is no JWK Set, has too many bytes or keys, or has keys and none that verifies tokens; goes
// on from a thing that is already named: "is ...". It shows no key.
absl::StatusOr<std::vector<Key>> ParseJwks(absl::string_view text, JwksSecrets secrets);

}  // namespace bridge::auth
