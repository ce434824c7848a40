#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace bridge::base {

// A stranger's `text` as an error message shows it: printable ASCII, escaped as in C, of its first `bytes_max` bytes,
// and "..." where there are more.
std::string Shown(absl::string_view text, size_t bytes_max);

// The same in double quotes. By default enough of a text to find it by: messages travel in acks, answers and logs.
std::string Quoted(absl::string_view text, size_t bytes_max = 100);

}  // namespace bridge::base
