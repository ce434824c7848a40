#pragma once

#include "absl/status/status.h"

#include "bridge/config/config.h"

namespace bridge {

// `sse-bridge --health`: OK where a bridge with this admin.address runs on this machine and is ready, by /readyz there.
// Blocks for some seconds at most. The error is one line.
absl::Status CheckHealth(const config::Source& source);

}  // namespace bridge
