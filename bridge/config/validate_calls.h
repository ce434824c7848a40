#pragma once

#include "absl/status/status.h"

#include "bridge/config/v1/config.pb.h"

namespace bridge::config {

// Whether what `calls` names may be handed to workers. INVALID_ARGUMENT names the key and says what to change.
absl::Status ValidateCalls(const v1::Calls& calls);

}  // namespace bridge::config
