#pragma once

#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace bridge::topic {

// The longest topic or pattern, and the most tokens that it has.
inline constexpr size_t kTopicBytesMax = 255;
inline constexpr size_t kTopicTokensMax = 16;

// Whether `topic` is one: tokens of [A-Za-z0-9_-]+ with single dots between them, within the limits above.
// INVALID_ARGUMENT: it is not; the message says where, and what would be right. Allocates nothing when OK.
absl::Status ValidateTopic(absl::string_view topic);

}  // namespace bridge::topic
