#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace bridge::config {

// OK where `text` is "*" or exactly what a browser can send as Origin (RFC 6454 §6.1): scheme://host[:port] in lower
// case, without the scheme's default port. INVALID_ARGUMENT goes on from a value that is already named, like
// value_syntax.h's.
absl::Status CheckOrigin(absl::string_view text);

}  // namespace bridge::config
