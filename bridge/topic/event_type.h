#pragma once

#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace bridge::topic {

inline constexpr size_t kTypeBytesMax = 128;

// Whether a publisher's event may have this type: at most kTypeBytesMax bytes without CR, LF and NUL, which would be
// lines of their own in a stream, and not one of the bridge's own ("bridge."). Empty stands for "message".
// INVALID_ARGUMENT: it may not; the message says why and goes on from a type that is already named.
absl::Status CheckEventType(absl::string_view type);

}  // namespace bridge::topic
