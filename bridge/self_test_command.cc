#include "bridge/self_test_command.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "bridge/base/shown.h"
#include "bridge/base/status_macros.h"
#include "bridge/config/value_syntax.h"
#include "bridge/own_address.h"
#include "bridge/self_test.h"

namespace bridge {

SelfTestCommand::SelfTestCommand(CLI::App* app) : flag_(app->add_flag("--self-test")) {
  flag_->description("Publishes an event over gRPC on a bridge that runs, and receives it by an event stream.");
  constexpr char kGroup[] = "Options of --self-test (what is not given is taken from the configuration)";
  const auto add = [&](const char* name, std::string* value, const char* description, const char* type) {
    return app->add_option(name, *value, description)->type_name(type)->needs(flag_)->group(kGroup);
  };
  add("--http", &http_url_, "Where its HTTP side is: http://bridge:8080, https://events.example.com.", "URL");
  add("--grpc", &grpc_target_, "Where its gRPC side is: bridge:9090, or https://bridge:9090 where that has TLS.",
      "HOST:PORT");
  auto* const token = add("--token-file", &token_file_, "A token, for a bridge with keys.", "FILE");
  add("--key-file", &key_file_,
      "Instead of a token the secret or the private key to make one with, as --key of sse-bridge token.", "FILE")
      ->excludes(token);
  add("--ca-file", &ca_file_, "The certificates that sign the bridge's, in PEM; without it, the system's.", "FILE");
  add("--timeout", &timeout_, "The time that all of it may take, as in 15s.", "DURATION")->capture_default_str();
}

absl::StatusOr<absl::Duration> SelfTestCommand::Run(const config::Source& source) const {
  ASSIGN_OR_RETURN(const config::v1::Config config, config::Read(source));
  const absl::StatusOr<absl::Duration> timeout = config::ParseDuration(timeout_);
  if (!timeout.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--timeout: ", base::Quoted(timeout_), " ", timeout.status().message()));
  }
  ASSIGN_OR_RETURN(const std::string http_url, HttpUrl(config.http()));
  ASSIGN_OR_RETURN(const std::string grpc_target, GrpcTarget(config.grpc()));
  ASSIGN_OR_RETURN(const SelfTestAccess access, Access(config.auth().jwt()));
  return RunSelfTest(
      {.http_url = http_url, .grpc_target = grpc_target, .ca_file = ca_file_, .access = access, .timeout = *timeout});
}

absl::StatusOr<std::string> SelfTestCommand::HttpUrl(const config::v1::Http& http) const {
  if (!http_url_.empty()) {
    return http_url_;
  }
  ASSIGN_OR_RETURN(const std::string address, OwnAddress("http.address", http.address()));
  return absl::StrCat(http.tls().certificate_file().empty() ? "http://" : "https://", address);
}

absl::StatusOr<std::string> SelfTestCommand::GrpcTarget(const config::v1::Grpc& grpc) const {
  if (!grpc_target_.empty()) {
    return grpc_target_;
  }
  ASSIGN_OR_RETURN(const std::string address, OwnAddress("grpc.address", grpc.address()));
  return absl::StrCat(grpc.tls().certificate_file().empty() ? "" : "https://", address);
}

absl::StatusOr<SelfTestAccess> SelfTestCommand::Access(const config::v1::Jwt& jwt) const {
  if (!token_file_.empty()) {
    return AccessByToken(token_file_, jwt);
  }
  if (!key_file_.empty()) {
    return AccessByKey(key_file_, jwt, absl::Now());
  }
  return AnonymousAccess();
}

}  // namespace bridge
