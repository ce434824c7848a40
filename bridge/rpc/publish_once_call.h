#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "bridge/base/clock.h"
#include "bridge/log/event_log.h"
#include "bridge/rpc/intake.h"
#include "bridge/rpc/publish_parts.h"
#include "bridge/v1/publisher.pb.h"

namespace bridge::rpc {

// One PublishOnce call: appends its request, and answers with the ack when the log has it. Thread-safe.
//
// Owned by itself until OnDone, and by the append that is in flight.
class PublishOnceCall final : public grpc::ServerUnaryReactor, public std::enable_shared_from_this<PublishOnceCall> {
 public:
  // What gRPC gives, and keeps until OnDone.
  struct Call {
    grpc::CallbackServerContext* context;
    const grpc::ByteBuffer* request;
    grpc::ByteBuffer* response;
  };

  // `on_done` is called when the call is over.
  static std::shared_ptr<PublishOnceCall> Create(const PublishParts& parts, const Call& call,
                                                 absl::AnyInvocable<void(PublishOnceCall*)> on_done);

  // Called once.
  void Begin();

  // To be called once a second: ends the call where its client has not taken the answer for `send_timeout`.
  void Check(base::MonotonicTime now, absl::Duration send_timeout);

  // grpc::ServerUnaryReactor.
  void OnCancel() override { parts_.call->NoteGivenUp(); }
  void OnDone() override;

 private:
  PublishOnceCall(PublishParts parts, const Call& call, absl::AnyInvocable<void(PublishOnceCall*)> on_done)
      : parts_(std::move(parts)), call_(call), on_done_(std::move(on_done)) {}

  // The publisher is too fast.
  void RejectAll(Intake::Batch batch, absl::Duration retry_after);
  void OnAppended(v1::Ack ack, const std::vector<uint32_t>& indexes,
                  const absl::StatusOr<std::vector<log::Appended>>& appended);
  void Answer(const v1::Ack& ack, const grpc::Status& status);

  const PublishParts parts_;
  const Call call_;
  absl::AnyInvocable<void(PublishOnceCall*)> on_done_;

  absl::Mutex mutex_;
  // In the budget until OnDone.
  uint64_t ack_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  base::MonotonicTime answered_ ABSL_GUARDED_BY(mutex_) = base::MonotonicTime::max();
  bool is_done_ ABSL_GUARDED_BY(mutex_) = false;

  // Until OnDone.
  std::shared_ptr<PublishOnceCall> self_;
};

}  // namespace bridge::rpc
