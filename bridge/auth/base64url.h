#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace bridge::auth {

// base64url without padding (RFC 7515 §2).
std::string EncodeBase64Url(absl::string_view bytes);

// The bytes of which `text` is the one encoding. None where it has other characters, white space and padding included,
// or bits that stand for nothing: so no two texts are one token.
std::optional<std::string> DecodeBase64Url(absl::string_view text);

}  // namespace bridge::auth
