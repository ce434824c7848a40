#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "bridge/loop/event_loop.h"
#include "bridge/loop/listener.h"
#include "bridge/loop/timer_wheel.h"
#include "bridge/rpc/connection_guard.h"
#include "bridge/rpc/connection_handover.h"
#include "bridge/rpc/publisher_service.h"
#include "bridge/rpc/tls_certificate.h"

namespace bridge::rpc {

// The gRPC side: its listener, the publisher service, standard health, and reflection where it is wanted.
//
// Accepts its connections itself, on a loop, and has them guarded: gRPC's own listener is gone for good where there are
// no descriptors for a moment. Lives on that loop, but for what is said to be thread-safe.
class GrpcServer final : private loop::Timer {
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

  // All three outlive it. FAILED_PRECONDITION where the address cannot be listened on.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(const Options& options, loop::EventLoop* loop,
                                                           ConnectionGuard* guard, PublisherService* service);
  ~GrpcServer() override;

  // "127.0.0.1:9090", with the port that was taken.
  const std::string& address() const { return listener_->address(); }

  // Thread-safe. What health checks of bridge.v1.Publisher are told: whether events are taken now. The bridge itself
  // (the empty name) is serving all the same.
  void SetServing(bool is_serving);

  // Accepts no new connections.
  void StopListening() { listener_ = nullptr; }

  // Thread-safe. Accepts no new streams and waits for the open ones, which are cancelled at `deadline`. Blocks.
  // Connections without streams and calls of publishers are cut after a moment.
  void BlockOnShutdown(absl::Time deadline);

 private:
  GrpcServer(loop::EventLoop* loop, ConnectionGuard* guard, PublisherService* service)
      : loop_(loop), guard_(guard), service_(service) {}

  absl::Status Listen(const Options& options);
  void Take(const std::vector<int>& fds);
  void OnTimer() override;

  loop::EventLoop* const loop_;
  ConnectionGuard* const guard_;
  PublisherService* const service_;
  // Are asked for the certificate as long as there is a server.
  std::shared_ptr<grpc::ServerCredentials> credentials_;
  std::unique_ptr<grpc::Server> server_;
  // Takes the connections into the server.
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor_;
  std::unique_ptr<ConnectionHandover> handover_;
  std::unique_ptr<loop::Listener> listener_;
};

}  // namespace bridge::rpc
