#pragma once

#include "absl/status/status.h"

#include "bridge/config/v1/config.pb.h"

namespace bridge::config {

// Checks what one field alone cannot show: fields that contradict each other. INVALID_ARGUMENT names the fields, their
// values and what would be right.
absl::Status Validate(const v1::Config& config);

}  // namespace bridge::config
