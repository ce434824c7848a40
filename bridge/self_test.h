#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "bridge/self_test_access.h"

namespace bridge {

// What a self-test needs to know of the bridge that it tests.
struct SelfTestOptions {
  // "https://events.example.com".
  std::string http_url;
  // "bridge:9090", or "https://bridge:9090" with TLS.
  std::string grpc_target;
  // The certificates that the bridge's have to be signed by, in PEM; empty: the system's.
  std::string ca_file;
  SelfTestAccess access;
  absl::Duration timeout;
};

// Subscribes over HTTP, publishes one event over gRPC, and blocks until the event has come over the event stream.
// Returns how long it was on the way. The error is one line that says which step failed, why, and what to change.
absl::StatusOr<absl::Duration> RunSelfTest(const SelfTestOptions& options);

}  // namespace bridge
