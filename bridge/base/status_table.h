#pragma once

#include "absl/status/status.h"

namespace bridge::base {

// The HTTP status that answers a request which failed with `code` (never 200).
int HttpStatusOf(absl::StatusCode code);

}  // namespace bridge::base
