#pragma once

#include "absl/status/status.h"

#include "bridge/config/v1/config.pb.h"

namespace bridge {

// Raises the soft limit of open files to the hard one, and checks that there are descriptors enough to start with: gRPC
// aborts where it gets none. RESOURCE_EXHAUSTED: there are not; the message says how many are needed. Called before the
// first event loop is made.
absl::Status PrepareDescriptors(const config::v1::Http& http);

}  // namespace bridge
