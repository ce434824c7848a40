#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace bridge::config {

// OK where keys may be fetched from the URL `text`: https, or http where the host is a loopback address or localhost;
// without a name and password. INVALID_ARGUMENT goes on from a value that is already named, like value_syntax.h's.
absl::Status CheckKeysUrl(absl::string_view text);

}  // namespace bridge::config
