#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <grpcpp/grpcpp.h>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "bridge/rpc/publisher_service.h"
#include "bridge/rpc/tls_certificate.h"

namespace bridge::rpc {

// The gRPC listener with the publisher service, standard health, and reflection where it is wanted.
class GrpcServer {
 public:
  struct Options {
    std::string host;
    // 0 takes a free one.
    uint16_t port = 0;
    bool has_reflection = false;
    // With it the listener speaks TLS. Outlives the server.
    const TlsCertificate* certificate = nullptr;
    uint64_t request_bytes_max = uint64_t{4} << 20;
    // What gRPC may buffer in all.
    uint64_t buffer_bytes_max = uint64_t{512} << 20;
  };

  // `service` outlives it. FAILED_PRECONDITION where the address cannot be listened on.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(const Options& options, PublisherService* service);
  ~GrpcServer();

  // "127.0.0.1:9090", with the port that was taken.
  const std::string& address() const { return address_; }

  // What health checks of bridge.v1.Publisher are told: whether events are taken now. The bridge itself (the empty
  // name) is serving all the same.
  void SetServing(bool is_serving);

  // Accepts no new streams and waits for the open ones, which are cancelled at `deadline`. Blocks. Connections without
  // streams and calls of publishers are cut after a moment.
  void BlockOnShutdown(absl::Time deadline);

 private:
  explicit GrpcServer(PublisherService* service) : service_(service) {}

  PublisherService* const service_;
  // Are asked for the certificate as long as there is a server.
  std::shared_ptr<grpc::ServerCredentials> credentials_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

}  // namespace bridge::rpc
