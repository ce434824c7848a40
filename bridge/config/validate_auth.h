#pragma once

#include "absl/status/status.h"

#include "bridge/config/v1/config.pb.h"

namespace bridge::config {

// The part of Validate that says whether the bridge is closed: see the comment of the section auth in config.proto.
absl::Status ValidateAuth(const v1::Config& config);

// There are keys, so that clients without a token are not let in.
bool HasKeys(const v1::Auth& auth);

// POST /tickets is answered.
bool HasTickets(const v1::Auth& auth);

}  // namespace bridge::config
