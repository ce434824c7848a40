// A publisher's stream as a worker's: what Calls is told, and what it tells.
#include <utility>

#include "absl/status/status.h"

#include "bridge/rpc/publish_stream.h"

namespace bridge::rpc {

using Leave = calls::Calls::Leave;

absl::Status PublishStream::CallsError() const {
  return parts_.calls != nullptr ? absl::OkStatus()
                                 : absl::InvalidArgumentError("serve and call_updates: calls are not served here");
}

void PublishStream::FeedCalls(const RequestPtr& request, std::optional<CallIntake::Serving> serving,
                              std::vector<calls::CallUpdate> updates) {
  calls::Calls::WorkerHandle worker;
  if (serving.has_value()) {
    worker = BeginServing(std::move(serving->answer));
    parts_.calls->SetServe(worker, std::move(serving->serve),
                           [self = shared_from_this(), request] { self->OnTaken(request, /*is_taken=*/true); });
  } else {
    const absl::MutexLock lock(&mutex_);
    worker = worker_;
  }
  if (updates.empty()) {
    return;
  }
  if (worker != nullptr) {
    parts_.calls->Update(worker, std::move(updates),
                         [self = shared_from_this(), request](bool is_taken) { self->OnTaken(request, is_taken); });
    return;
  }
  for (calls::CallUpdate& update : updates) {
    OnAck({.id = std::move(update.call_id),
           .attempt = update.attempt,
           .next_index = 0,
           .status = absl::NotFoundError("the call is not this worker's: send serve before call_updates")});
  }
  OnTaken(request, /*is_taken=*/true);
}

calls::Calls::WorkerHandle PublishStream::BeginServing(v1::Serving&& answer) {
  calls::Calls::WorkerHandle worker;
  {
    const absl::MutexLock lock(&mutex_);
    worker = worker_;
    // Before Calls knows of it: so no call comes before it.
    parts_.budget->AddAcks(outbox_.PutServing(std::move(answer)));
  }
  if (worker == nullptr) {
    worker = parts_.calls->AddWorker(shared_from_this(), parts_.identity->name());
    const absl::MutexLock lock(&mutex_);
    worker_ = worker;
  }
  return worker;
}

void PublishStream::OnTaken(const RequestPtr& request, bool is_taken) {
  {
    const absl::MutexLock lock(&mutex_);
    --parts_untaken_;
    if (!is_taken) {
      in_flight_.EndAcksBefore(request->number);
      FinishWith(absl::UnavailableError(
          "updates of calls could not be kept; connect again, list the calls in held, and send what was not acked"));
    }
  }
  EndPart(request);
  GoOn();
}

void PublishStream::TellDraining() {
  calls::Calls::WorkerHandle worker;
  {
    const absl::MutexLock lock(&mutex_);
    is_draining_untold_ = true;
    worker = worker_;
  }
  if (worker != nullptr) {
    parts_.calls->NoteLeaving(std::move(worker));
  }
  GoOn();
}

std::optional<Leave> PublishStream::FindLeave() const {
  if (worker_ == nullptr || is_feeding_) {
    return std::nullopt;
  }
  if (is_broken_ || is_finished_ || (is_input_over_ && !status_.ok())) {
    return Leave::kBroken;
  }
  if (!is_input_over_ || parts_untaken_ > 0 || half_close_ != HalfClose::kSure) {
    return std::nullopt;
  }
  // One that was told to go on elsewhere takes its calls there.
  return is_draining_told_ ? Leave::kBroken : Leave::kHandsBack;
}

bool PublishStream::MustProbe() const {
  return worker_ != nullptr && is_input_over_ && half_close_ == HalfClose::kUnknown;
}

void PublishStream::OnCall(calls::AssignedCall call) {
  {
    const absl::MutexLock lock(&mutex_);
    if (worker_ == nullptr || is_finished_) {
      return;  // it has gone, and Calls comes to know that
    }
    parts_.budget->AddAcks(outbox_.PutCall(std::move(call)));
  }
  GoOn();
}

void PublishStream::OnStop(absl::string_view call_id, uint32_t attempt, calls::StopReason reason) {
  {
    const absl::MutexLock lock(&mutex_);
    if (is_finished_) {
      return;
    }
    parts_.budget->AddAcks(outbox_.PutStop(call_id, attempt, reason));
  }
  GoOn();
}

void PublishStream::OnAck(calls::CallAck ack) {
  std::vector<calls::CallAck> one;
  one.push_back(std::move(ack));
  OnAcks(std::move(one));
}

void PublishStream::OnAcks(std::vector<calls::CallAck> acks) {
  {
    const absl::MutexLock lock(&mutex_);
    if (is_finished_) {
      return;
    }
    uint64_t bytes = 0;
    for (calls::CallAck& ack : acks) {
      bytes += outbox_.PutAck(std::move(ack));
    }
    parts_.budget->AddAcks(bytes);
  }
  GoOn();
}

void PublishStream::OnReplaced() {
  {
    const absl::MutexLock lock(&mutex_);
    FinishWith(absl::AbortedError("a newer stream of this worker has taken over"));
  }
  GoOn();
}

}  // namespace bridge::rpc
