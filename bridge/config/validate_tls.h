#pragma once

#include "absl/status/status.h"

#include "bridge/config/v1/config.pb.h"

namespace bridge::config {

// The parts of Validate for http.tls and grpc.tls; of their files only that they are named.
absl::Status ValidateHttpTls(const v1::Config& config);
absl::Status ValidateGrpcTls(const v1::Config& config);

// Publishers have to show certificates, so that publishing is closed whether there are keys or not.
bool HasClientCa(const v1::Config& config);

}  // namespace bridge::config
