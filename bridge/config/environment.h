#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bridge::config {

// `text` with each ${NAME} replaced by the environment variable of that name, and each "$${" by "${"; another "$"
// stands for itself. What a variable holds is not expanded again. The result is at most 64 KiB.
//
// INVALID_ARGUMENT names a variable that is not set, or shows what is no ${NAME}. Not to be called while another thread
// changes the environment.
absl::StatusOr<std::string> ExpandEnvironment(absl::string_view text);

}  // namespace bridge::config
