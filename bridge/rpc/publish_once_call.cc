#include "bridge/rpc/publish_once_call.h"

#include <utility>

#include <grpc/grpc.h>
#include <grpcpp/impl/codegen/proto_utils.h>

#include "bridge/rpc/grpc_status.h"

namespace bridge::rpc {
namespace {

// An ack of this size, few rejections, is given also where the acks that others do not read have filled their budget.
constexpr uint64_t kSmallAckBytes = uint64_t{64} << 10;

absl::Status CallsError() {
  return absl::InvalidArgumentError(
      "serve and call_updates: belong on a Publish stream, on which calls come; leave them out of PublishOnce");
}

grpc::Status TooMuch() {
  return {grpc::StatusCode::RESOURCE_EXHAUSTED,
          "too much is waiting for its ack (grpc.max_bytes_in_flight_total); send it again later"};
}

}  // namespace

std::shared_ptr<PublishOnceCall> PublishOnceCall::Create(const PublishParts& parts, const Call& call,
                                                         absl::AnyInvocable<void(PublishOnceCall*)> on_done) {
  auto created = std::shared_ptr<PublishOnceCall>(new PublishOnceCall(parts, call, std::move(on_done)));
  created->self_ = created;
  return created;
}

void PublishOnceCall::Begin() {
  parts_.metrics->requests.Add(1);
  auto batch = parts_.intake->Take(*call_.request, *parts_.identity, CallsError());
  if (!batch.ok()) {
    parts_.metrics->NoteRefusal(batch.status());
    Finish(ToGrpcStatus(batch.status()));
    return;
  }
  if (!parts_.budget->HasRoomForAcks() && batch->ack.SpaceUsedLong() > kSmallAckBytes) {
    Finish(TooMuch());
    return;
  }
  if (batch->records.empty()) {
    OnAppended(std::move(batch->ack), {}, std::vector<log::Appended>());
    return;
  }
  if (!parts_.budget->HasRoom()) {
    Finish(TooMuch());
    return;
  }
  const uint64_t bytes = call_.request->Length();
  if (parts_.allowance != nullptr) {
    const base::MonotonicTime now = base::MonotonicClock::now();
    if (const auto wait = parts_.allowance->Wait(now); wait > base::MonotonicClock::duration::zero()) {
      RejectAll(std::move(*batch), absl::FromChrono(wait));
      return;
    }
    parts_.allowance->Take(batch->records.size(), bytes, now);
  }
  parts_.budget->AddRequest(bytes);
  parts_.log->Append(
      std::move(batch->records),
      [self = shared_from_this(), bytes, ack = std::move(batch->ack),
       indexes = std::move(batch->indexes)](const absl::StatusOr<std::vector<log::Appended>>& appended) mutable {
        self->parts_.budget->ReleaseRequest(bytes);
        self->OnAppended(std::move(ack), indexes, appended);
      });
}

void PublishOnceCall::RejectAll(Intake::Batch batch, absl::Duration retry_after) {
  parts_.limiter->NoteLimited(parts_.identity->name());
  const absl::StatusOr<std::vector<log::Appended>> too_fast =
      absl::ResourceExhaustedError("faster than limits.publish_events_per_second or limits.publish_bytes_per_second");
  v1::Ack ack = Intake::Complete(std::move(batch.ack), batch.indexes, too_fast);
  for (v1::Rejection& rejection : *ack.mutable_rejected()) {
    if (rejection.code() == static_cast<int>(absl::StatusCode::kResourceExhausted)) {
      const timespec wait = absl::ToTimespec(retry_after);
      rejection.mutable_retry_after()->set_seconds(wait.tv_sec);
      rejection.mutable_retry_after()->set_nanos(static_cast<int32_t>(wait.tv_nsec));
    }
  }
  NoteAppended(ack, batch.indexes, too_fast, parts_.metrics);
  Answer(ack, grpc::Status::OK);
}

void PublishOnceCall::OnAppended(v1::Ack ack, const std::vector<uint32_t>& indexes,
                                 const absl::StatusOr<std::vector<log::Appended>>& appended) {
  const v1::Ack complete = Intake::Complete(std::move(ack), indexes, appended);
  NoteAppended(complete, indexes, appended, parts_.metrics);
  Answer(complete,
         appended.ok() ? grpc::Status::OK : ToGrpcStatus(absl::UnavailableError(appended.status().message())));
}

void PublishOnceCall::Answer(const v1::Ack& ack, const grpc::Status& status) {
  bool own_buffer = true;
  grpc::SerializationTraits<v1::Ack>::Serialize(ack, call_.response, &own_buffer);
  {
    const absl::MutexLock lock(&mutex_);
    ack_bytes_ = call_.response->Length();
    parts_.budget->AddAcks(ack_bytes_);
    answered_ = base::MonotonicClock::now();
  }
  Finish(status);
}

void PublishOnceCall::Check(base::MonotonicTime now, absl::Duration send_timeout) {
  grpc_call* call = nullptr;
  {
    const absl::MutexLock lock(&mutex_);
    if (is_done_ || now < answered_ || now - answered_ < absl::ToChronoNanoseconds(send_timeout)) {
      return;
    }
    answered_ = base::MonotonicTime::max();  // once
    call = call_.context->c_call();
    grpc_call_ref(call);  // OnDone, and the end of the context, may come meanwhile
  }
  parts_.metrics->streams_timed_out.Add(1);
  grpc_call_cancel(call, nullptr);
  grpc_call_unref(call);
}

void PublishOnceCall::OnDone() {
  {
    const absl::MutexLock lock(&mutex_);
    is_done_ = true;
    parts_.budget->ReleaseAcks(ack_bytes_);
  }
  on_done_(this);
  const std::shared_ptr<PublishOnceCall> last = std::move(self_);
}

}  // namespace bridge::rpc
