// The side of the backends.
#include <chrono>
#include <utility>

#include "bridge/base/status_macros.h"
#include "bridge/config/listener.h"
#include "bridge/config/validate_tls.h"
#include "bridge/config/value_syntax.h"
#include "bridge/open_auth.h"
#include "bridge/server.h"

namespace bridge {
namespace {

constexpr auto kCheckInterval = std::chrono::seconds(1);

// What gRPC may hold beside requests that are not whole: where it has no more it drops connections, idle ones first.
constexpr uint64_t kConnectionBytes = uint64_t{64} << 20;

// What the payloads of one request may take, in the units of payload::JsonEstimate for each byte of a frame: with the
// default frame some 40 ms. A request of 4 MiB of ordinary messages stays below it.
constexpr uint64_t kPayloadWork = 24;

absl::StatusOr<rpc::PublisherIdentities> IdentitiesOf(const config::v1::Config& config,
                                                      const auth::Authenticator* authenticator) {
  rpc::PublisherIdentities::Options options{
      .authenticator = authenticator,
      .has_certificates = config::HasClientCa(config),
      .clients = {},
      .anonymous = {.publish = authenticator->anonymous()->publish, .serve = authenticator->anonymous()->serve}};
  if (options.has_certificates) {
    ASSIGN_OR_RETURN(options.anonymous.publish, PatternsOf(config.auth().anonymous().publish()));
    ASSIGN_OR_RETURN(options.anonymous.serve, PatternsOf(config.auth().anonymous().serve()));
  }
  for (const config::v1::GrpcClient& client : config.grpc().tls().clients()) {
    ASSIGN_OR_RETURN(auth::PatternSet publish, PatternsOf(client.publish()));
    ASSIGN_OR_RETURN(auth::PatternSet serve, PatternsOf(client.serve()));
    options.clients.push_back(
        {.name = client.san(), .grants = {.publish = std::move(publish), .serve = std::move(serve)}});
  }
  return rpc::PublisherIdentities(std::move(options));
}

}  // namespace

absl::StatusOr<std::unique_ptr<rpc::TlsCertificate>> Server::OpenGrpcCertificate(const config::v1::GrpcTls& tls,
                                                                                 FileWatcher* watcher) {
  if (tls.certificate_file().empty()) {
    return nullptr;
  }
  ASSIGN_OR_RETURN(std::unique_ptr<rpc::TlsCertificate> certificate,
                   rpc::TlsCertificate::Open({.section = "grpc.tls",
                                              .certificate_file = tls.certificate_file(),
                                              .key_file = tls.key_file(),
                                              .client_ca_file = tls.client_ca_file()}));
  watcher->Add([opened = certificate.get()] { return opened->Reload(); });
  return certificate;
}

absl::Status Server::StartGrpc() {
  const config::v1::Grpc& grpc = config_.grpc();
  const config::v1::Http& http = config_.http();
  ASSIGN_OR_RETURN(rpc::PublisherIdentities identities, IdentitiesOf(config_, auth_.authenticator.get()));
  connection_guard_ = std::make_unique<rpc::ConnectionGuard>(rpc::ConnectionGuard::Limits());
  service_ = std::make_unique<rpc::PublisherService>(
      rpc::PublisherService::Options{
          .intake = {.events_per_request_max = grpc.max_events_per_request(),
                     .content = {.work_per_request_max = kPayloadWork * http.max_frame_bytes(),
                                 .frame_bytes_max = http.max_frame_bytes(),
                                 .retry_min = config::FromProto(http.retry_min()),
                                 .retry_max = config::FromProto(http.retry_max())}},
          .stream = {.events_in_flight_max = grpc.max_events_in_flight(),
                     .bytes_in_flight_max = grpc.max_bytes_in_flight(),
                     .age_max = config::FromProto(grpc.stream_max_age()),
                     .send_timeout = config::FromProto(grpc.send_timeout())},
          .bytes_in_flight_max_total = grpc.max_bytes_in_flight_total(),
          .rates = {.events_per_second = config_.limits().publish_events_per_second(),
                    .bytes_per_second = config_.limits().publish_bytes_per_second()}},
      std::move(identities), transcoder_.get(), log_.get(), calls_->calls(), connection_guard_.get());
  const config::Address address = config::ListenAddress(grpc.address());
  ASSIGN_OR_RETURN(grpc_,
                   rpc::GrpcServer::Start({.host = address.host,
                                           .port = address.port,
                                           .has_reflection = config::IsOn(grpc.reflection(), grpc.address()),
                                           .certificate = grpc_certificate_.get(),
                                           .request_bytes_max = grpc.max_request_bytes(),
                                           .buffer_bytes_max = kConnectionBytes + grpc.max_bytes_in_flight_total()},
                                          control_, connection_guard_.get(), service_.get()));
  control_->AssertOnLoop();
  check_timer_ = std::make_unique<loop::CallbackTimer>([this] { CheckPublishers(); });
  control_->Schedule(*check_timer_, kCheckInterval);
  return absl::OkStatus();
}

void Server::CheckPublishers() {
  control_->AssertOnLoop();
  service_->Check();
  control_->Schedule(*check_timer_, kCheckInterval);
}

}  // namespace bridge
