#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "bridge/config/config.h"
#include "bridge/self_test_access.h"

namespace bridge {

// `sse-bridge --self-test`: sends one event through a bridge that runs, from gRPC to an event stream. Not thread-safe.
class SelfTestCommand {
 public:
  // Adds its flag and options to `app`, which outlives it.
  explicit SelfTestCommand(CLI::App* app);

  // The arguments ask for it.
  bool IsCalled() const { return flag_->count() > 0; }

  // How long the event was on its way. What the options do not say is taken from the configuration. Blocks. The error
  // is one line.
  absl::StatusOr<absl::Duration> Run(const config::Source& source) const;

 private:
  absl::StatusOr<std::string> HttpUrl(const config::v1::Http& http) const;
  absl::StatusOr<std::string> GrpcTarget(const config::v1::Grpc& grpc) const;
  absl::StatusOr<SelfTestAccess> Access(const config::v1::Jwt& jwt) const;

  CLI::Option* const flag_;
  std::string http_url_;
  std::string grpc_target_;
  std::string token_file_;
  std::string key_file_;
  std::string ca_file_;
  std::string timeout_ = "15s";
};

}  // namespace bridge
