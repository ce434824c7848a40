// The side of the backends.
#include <chrono>

#include "bridge/base/status_macros.h"
#include "bridge/config/listener.h"
#include "bridge/config/value_syntax.h"
#include "bridge/server.h"

namespace bridge {
namespace {

constexpr auto kCheckInterval = std::chrono::seconds(1);

}  // namespace

absl::Status Server::StartGrpc() {
  const config::v1::Grpc& grpc = config_.grpc();
  const config::v1::Http& http = config_.http();
  service_ = std::make_unique<rpc::PublisherService>(
      rpc::PublisherService::Options{.intake = {.events_per_request_max = grpc.max_events_per_request(),
                                                .frame_bytes_max = http.max_frame_bytes(),
                                                .retry_min = config::FromProto(http.retry_min()),
                                                .retry_max = config::FromProto(http.retry_max())},
                                     .stream = {.events_in_flight_max = grpc.max_events_in_flight(),
                                                .bytes_in_flight_max = grpc.max_bytes_in_flight(),
                                                .age_max = config::FromProto(grpc.stream_max_age()),
                                                .send_timeout = config::FromProto(grpc.send_timeout())},
                                     .bytes_in_flight_max_total = grpc.max_bytes_in_flight_total()},
      rpc::PublisherIdentities({.authenticator = auth_.authenticator.get(),
                                .has_certificates = false,
                                .clients = {},
                                .anonymous = auth_.authenticator->anonymous()->publish}),
      transcoder_.get(), log_.get());
  const config::Address address = config::ListenAddress(grpc.address());
  ASSIGN_OR_RETURN(grpc_, rpc::GrpcServer::Start({.host = address.host,
                                                  .port = address.port,
                                                  .has_reflection = config::IsOn(grpc.reflection(), grpc.address()),
                                                  .request_bytes_max = grpc.max_request_bytes(),
                                                  .buffer_bytes_max = grpc.max_bytes_in_flight_total()},
                                                 service_.get()));
  control_->AssertOnLoop();
  check_timer_ = std::make_unique<ControlTimer>([this] { CheckPublishers(); });
  control_->Schedule(*check_timer_, kCheckInterval);
  return absl::OkStatus();
}

void Server::CheckPublishers() {
  control_->AssertOnLoop();
  service_->Check();
  control_->Schedule(*check_timer_, kCheckInterval);
}

}  // namespace bridge
