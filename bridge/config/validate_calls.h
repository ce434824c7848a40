#pragma once

#include "absl/status/status.h"

#include "bridge/config/v1/config.pb.h"

namespace bridge::config {

// Whether the values of `calls` go together. INVALID_ARGUMENT names the key and says what to change.
absl::Status ValidateCalls(const v1::Config& config);

}  // namespace bridge::config
