#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bridge {

// The host and port under which a client on this machine reaches a listener; `address` is the text of `field`, which
// has been validated. One that listens on all addresses is reached on a loopback one. FAILED_PRECONDITION: the listener
// takes a free port (0).
absl::StatusOr<std::string> OwnAddress(absl::string_view field, const std::string& address);

}  // namespace bridge
