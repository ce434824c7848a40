#pragma once

#include <memory>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"

#include "bridge/calls/calls.h"
#include "bridge/log/event_log.h"
#include "bridge/ops/log_limiter.h"
#include "bridge/rpc/connection_guard.h"
#include "bridge/rpc/in_flight_budget.h"
#include "bridge/rpc/intake.h"
#include "bridge/rpc/publish_once_call.h"
#include "bridge/rpc/publish_parts.h"
#include "bridge/rpc/publish_stream.h"
#include "bridge/rpc/publisher_identity.h"
#include "bridge/rpc/rate_limiter.h"
#include "bridge/rpc/rpc_metrics.h"
#include "bridge/v1/publisher.grpc.pb.h"

namespace bridge::rpc {

// The service that backends call. Its messages come as bytes, so that one that does not parse can be told from the
// stream's end.
//
// Thread-safe. Destroyed after its gRPC server has shut down.
class PublisherService final : public v1::Publisher::WithRawCallbackMethod_Publish<
                                   v1::Publisher::WithRawCallbackMethod_PublishOnce<v1::Publisher::Service>> {
 public:
  struct Options {
    Intake::Limits intake;
    PublishStream::Limits stream;
    uint64_t bytes_in_flight_max_total = uint64_t{256} << 20;
    RateLimiter::Limits rates;
  };

  // What is pointed to outlives it. `calls` is nullptr where calls are not served.
  PublisherService(const Options& options, PublisherIdentities identities, const payload::Transcoder* transcoder,
                   log::EventLog* log, calls::Calls* calls, ConnectionGuard* guard);

  // Tells all publishers, also those that come now, to finish and reconnect elsewhere.
  void BeginDrain();
  // Acks what is in flight and ends all streams.
  void EndStreams();
  // Waits until there are no streams and calls, or for `deadline`.
  void BlockUntilIdle(absl::Time deadline);
  // To be called once a second: ends the streams and calls that have to end by now.
  void Check();

  const RpcMetrics& metrics() const { return metrics_; }
  const RateLimiter& limiter() const { return limiter_; }

  // bridge.v1.Publisher.
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Publish(grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* PublishOnce(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                        grpc::ByteBuffer* response) override;

 private:
  // Who calls. The error has been counted and logged.
  absl::StatusOr<std::shared_ptr<const PublisherIdentity>> IdentityOf(const grpc::CallbackServerContext& context);
  PublishParts Parts(std::shared_ptr<ConnectionGuard::Call> call, std::shared_ptr<const PublisherIdentity> identity);
  std::vector<std::shared_ptr<PublishStream>> OpenStreams();

  const PublishStream::Limits stream_limits_;
  const PublisherIdentities identities_;
  log::EventLog* const log_;
  calls::Calls* const calls_;
  ConnectionGuard* const guard_;
  const Intake intake_;
  RpcMetrics metrics_;
  InFlightBudget budget_;
  RateLimiter limiter_;
  ops::LogLimiter refusals_{absl::Seconds(10)};

  absl::Mutex mutex_;
  bool is_draining_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_map<PublishStream*, std::weak_ptr<PublishStream>> streams_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<PublishOnceCall*, std::weak_ptr<PublishOnceCall>> once_calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bridge::rpc
