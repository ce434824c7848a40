#include "bridge/rpc/grpc_server.h"

#include <algorithm>
#include <limits>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <thread>

#include <grpc/grpc.h>
#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"

#include "bridge/base/status_macros.h"
#include "bridge/ops/log_limiter.h"
#include "bridge/ops/logging.h"
#include "bridge/rpc/tls_credentials.h"

namespace bridge::rpc {
namespace {

// Load balancers forget connections that are silent for a minute or more (AWS NLB: 350 s, Azure: 4 min, many NATs:
// less).
constexpr int kKeepaliveTimeMs = 30'000;
constexpr int kKeepaliveTimeoutMs = 10'000;
// Clients may ping as often as this.
constexpr int kPingIntervalMinMs = 10'000;

constexpr int kStreamsPerConnectionMax = 1000;

// Reflection takes a thread for each stream, publishers take none.
constexpr int kReflectionThreadsMax = 32;

// What clients without a call have to close their connections when the bridge ends.
constexpr absl::Duration kToClose = absl::Milliseconds(200);

// All metadata of a call: a token of the largest size, and what clients and proxies put beside it.
constexpr int kMetadataBytesMax = 16 << 10;

// gRPC writes a line to standard error for each handshake that fails, and for whatever else a stranger may cause.
void LogForGrpc(gpr_log_func_args* line) {
  static ops::LogLimiter limiter(absl::Seconds(10));
  if (line->severity != GPR_LOG_SEVERITY_ERROR) {
    return;
  }
  if (const auto suppressed = limiter.Admit()) {
    ops::LogWarn("grpc_error", {{"message", line->message}, {"suppressed", absl::StrCat(*suppressed)}});
  }
}

void SetConnectionLimits(grpc::ServerBuilder* builder) {
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMetadataBytesMax);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsPerConnectionMax);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kPingIntervalMinMs);
}

// Tells the guard of calls that are no publisher's.
class ForeignCalls final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit ForeignCalls(ConnectionGuard* guard) : guard_(guard) {}

  grpc::experimental::Interceptor* CreateServerInterceptor(grpc::experimental::ServerRpcInfo* call) override {
    if (!absl::StartsWith(call->method(), "/bridge.v1.Publisher/")) {
      guard_->NoteForeignCall(call->server_context()->peer());
    }
    return nullptr;
  }

 private:
  ConnectionGuard* const guard_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(const Options& options, loop::EventLoop* loop,
                                                              ConnectionGuard* guard, PublisherService* service) {
  gpr_set_log_function(LogForGrpc);
  grpc::EnableDefaultHealthCheckService(true);
  if (options.has_reflection) {
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  }

  grpc::ServerBuilder builder;
  auto started = std::unique_ptr<GrpcServer>(new GrpcServer(loop, guard, service));
  started->credentials_ =
      options.certificate == nullptr ? grpc::InsecureServerCredentials() : TlsServerCredentials(options.certificate);
  started->acceptor_ = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, started->credentials_);
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> interceptors;
  interceptors.push_back(std::make_unique<ForeignCalls>(guard));
  builder.experimental().SetInterceptorCreators(std::move(interceptors));
  builder.SetMaxReceiveMessageSize(
      static_cast<int>(std::min<uint64_t>(options.request_bytes_max, std::numeric_limits<int>::max())));
  SetConnectionLimits(&builder);
  grpc::ResourceQuota quota("bridge");
  quota.Resize(options.buffer_bytes_max);
  quota.SetMaxThreads(kReflectionThreadsMax);
  builder.SetResourceQuota(quota);
  builder.RegisterService(service);
  started->server_ = builder.BuildAndStart();
  if (started->server_ == nullptr) {
    return absl::InternalError("gRPC does not start");
  }
  started->handover_ = std::make_unique<ConnectionHandover>(started->acceptor_.get());
  started->SetServing(true);
  RETURN_IF_ERROR(started->Listen(options));
  return started;
}

absl::Status GrpcServer::Listen(const Options& options) {
  loop_->AssertOnLoop();
  absl::StatusOr<std::unique_ptr<loop::Listener>> listener = loop::Listener::Create(
      loop_, {.host = options.host, .port = options.port}, [this](const std::vector<int>& fds) { Take(fds); },
      /*on_full=*/nullptr);
  if (!listener.ok()) {
    return absl::FailedPreconditionError(absl::StrCat("gRPC ", listener.status().message()));
  }
  listener_ = *std::move(listener);
  loop_->Schedule(*this, ConnectionGuard::kCheckInterval);
  return absl::OkStatus();
}

void GrpcServer::Take(const std::vector<int>& fds) {
  loop_->AssertOnLoop();
  for (const int fd : fds) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    guard_->Add(fd, loop_->now());
  }
  handover_->Take(fds);
}

void GrpcServer::OnTimer() {
  loop_->AssertOnLoop();
  guard_->Check(loop_->now());
  loop_->Schedule(*this, ConnectionGuard::kCheckInterval);
}

void GrpcServer::SetServing(bool is_serving) {
  server_->GetHealthCheckService()->SetServingStatus("bridge.v1.Publisher", is_serving);
}

GrpcServer::~GrpcServer() {
  StopListening();
  if (server_ != nullptr) {
    BlockOnShutdown(absl::InfinitePast());
  }
}

void GrpcServer::BlockOnShutdown(absl::Time deadline) {
  // gRPC waits until all connections are closed, and an idle client may look at its own only every few seconds, or
  // never: what is worth the wait is publishers' streams and calls.
  absl::Notification is_shut_down;
  std::thread cutter([&] {
    service_->BlockUntilIdle(deadline);
    // The first time is for clients that close their connections by themselves; connections may still be coming then.
    while (!is_shut_down.WaitForNotificationWithTimeout(kToClose)) {
      grpc_server_cancel_all_calls(server_->c_server());
    }
  });
  server_->Shutdown(absl::ToChronoTime(deadline));
  is_shut_down.Notify();
  cutter.join();
  server_->Wait();
}

}  // namespace bridge::rpc
