#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bridge {

// The content of a small file (a key, a token) that an option of the command line names. The error begins with the
// option and names the file.
absl::StatusOr<std::string> ReadOptionFile(absl::string_view option, const std::string& path);

}  // namespace bridge
