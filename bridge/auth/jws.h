#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "bridge/auth/algorithm.h"
#include "bridge/base/json.h"

namespace bridge::auth {

// What fits in the head of a request beside all else.
constexpr size_t kTokenBytesMax = size_t{8} << 10;
// Anybody can have a header parsed, which takes up to 25 µs; usual ones have 30 to 100 bytes.
constexpr size_t kTokenHeaderBytesMax = size_t{2} << 10;
constexpr size_t kKidBytesMax = 256;

// A token in compact form (RFC 7515 §7.1), taken apart; nothing of it is verified yet.
struct Jws {
  Algorithm algorithm;
  std::optional<std::string> kid;
  // Lower case, without "application/"; empty where the token has none.
  std::string type;
  // What was signed: borrowed from the token.
  absl::string_view signed_text;
  std::string payload;
  std::string signature;
};

// UNAUTHENTICATED, with a message that shows nothing of the token: it or its header is too long, it is not three parts
// of base64url, its header is no JSON object with unique members, "alg" is no Algorithm ("none" is not), or there is a
// "crit". Keys that a header brings or points to (jwk, jku, x5c, x5u) are not looked at.
absl::StatusOr<Jws> ParseJws(absl::string_view token);

// The text to sign, of a header and a payload.
std::string JoinSignedText(const boost::json::object& header, const boost::json::object& payload);

}  // namespace bridge::auth
