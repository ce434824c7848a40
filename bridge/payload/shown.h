#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace bridge::payload {

// A publisher's `text` as an error message shows it: printable ASCII, escaped as in C, of its first 200 bytes.
std::string Shown(absl::string_view text);

}  // namespace bridge::payload
