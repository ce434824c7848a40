#include "bridge/rpc/publish_stream.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <grpcpp/impl/codegen/proto_utils.h>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"

#include "bridge/rpc/grpc_status.h"

namespace bridge::rpc {
namespace {

// Requests that have been read and whose acks have not been written: beyond them the publisher is not read.
constexpr size_t kRequestsInFlightMax = 10'000;

// A publisher that has been told of its stream's age has so long to open another and half-close this one. The comment
// of grpc.stream_max_age says it too.
constexpr absl::Duration kToReconnect = absl::Seconds(10);

absl::StatusOr<std::vector<log::Appended>> NotAfterAFailure() {
  return absl::UnavailableError("an event before this one could not be appended; send it again after that one");
}

}  // namespace

std::shared_ptr<PublishStream> PublishStream::Create(const PublishParts& parts, const Limits& limits,
                                                     grpc::CallbackServerContext* context,
                                                     absl::AnyInvocable<void(PublishStream*)> on_done) {
  auto stream = std::shared_ptr<PublishStream>(new PublishStream(parts, limits, context, std::move(on_done)));
  stream->self_ = stream;
  return stream;
}

void PublishStream::Begin() {
  if (limits_.age_max > absl::ZeroDuration()) {
    absl::BitGen random;
    const absl::Time is_old = absl::Now() + limits_.age_max * absl::Uniform(random, 0.9, 1.1);
    SetAlarm(is_old, [](PublishStream& stream) { stream.TellDraining(); }, &draining_alarm_);
    SetAlarm(
        is_old + kToReconnect,
        [](PublishStream& stream) {
          stream.End(absl::StrCat(
              "the stream reached grpc.stream_max_age and went on for ", absl::FormatDuration(kToReconnect),
              " after it was told to reconnect (draining); connect again and send what was not acked"));
        },
        &end_alarm_);
  }
  GoOn();
}

PublishStream::PublishStream(PublishParts parts, const Limits& limits, grpc::CallbackServerContext* context,
                             absl::AnyInvocable<void(PublishStream*)> on_done)
    : parts_(std::move(parts)), limits_(limits), context_(context), on_done_(std::move(on_done)) {
  parts_.metrics->streams.Add(1);
  parts_.metrics->streams_opened.Add(1);
}

void PublishStream::SetAlarm(absl::Time time, void (*action)(PublishStream&), grpc::Alarm* alarm) {
  alarm->Set(absl::ToChronoTime(time), [weak = weak_from_this(), action](bool is_due) {
    if (const auto alive = weak.lock(); is_due && alive) {
      action(*alive);
    }
  });
}

void PublishStream::End(const std::string& why) {
  {
    const absl::MutexLock lock(&mutex_);
    if (!is_input_over_) {
      FinishWith(absl::UnavailableError(why));
    }
  }
  GoOn();
}

void PublishStream::Check(base::MonotonicTime now, absl::Time wall_now) {
  bool has_expired = false;
  bool is_stuck = false;
  {
    const absl::MutexLock lock(&mutex_);
    has_expired = !is_input_over_ && wall_now >= parts_.identity->expires();
    if (has_expired) {
      parts_.metrics->refused[RpcMetrics::kExpired].Add(1);
      is_input_over_ = true;
      status_ = {grpc::StatusCode::UNAUTHENTICATED, "the token has expired; reconnect with a new one"};
    }
    is_stuck = is_writing_ && !is_cancelled_ && now - write_begun_ >= absl::ToChronoNanoseconds(limits_.send_timeout);
    must_cancel_ = must_cancel_ || is_stuck;
  }
  if (has_expired || is_stuck) {
    GoOn();
  }
}

void PublishStream::FinishWith(const absl::Status& status) {
  if (!is_input_over_ || status_.ok()) {
    is_input_over_ = true;
    status_ = ToGrpcStatus(status);
  }
}

void PublishStream::OnReadDone(bool ok) {
  absl::Status status;
  if (ok) {
    const uint64_t bytes = read_buffer_.Length();
    parts_.metrics->requests.Add(1);
    auto batch = parts_.intake->Take(read_buffer_, *parts_.identity, CallsError());
    read_buffer_.Clear();
    status = batch.status();
    if (batch.ok()) {
      if (parts_.allowance != nullptr) {
        parts_.allowance->Take(batch->events(), bytes, base::MonotonicClock::now());
      }
      Take(*std::move(batch), bytes);
    }
  }
  {
    const absl::MutexLock lock(&mutex_);
    is_reading_ = false;
    is_feeding_ = false;
    if (!status.ok()) {
      if (!is_input_over_) {  // else its end has been counted
        parts_.metrics->NoteRefusal(status);
      }
      FinishWith(status);
    }
    is_input_over_ = is_input_over_ || !ok;
  }
  GoOn();
}

void PublishStream::Take(Intake::Batch batch, uint64_t bytes) {
  const auto request = std::make_shared<Request>();
  request->bytes = bytes + batch.overhead_bytes();
  request->ack = std::move(batch.ack);
  const size_t calls_parts = (batch.serving.has_value() ? 1U : 0U) + (batch.updates.empty() ? 0U : 1U);
  // Before the lock is taken: an older number than the newest one may fail an append, and never lets one overtake.
  uint64_t failures_seen = parts_.log->failures();
  {
    const absl::MutexLock lock(&mutex_);
    if (is_finished_ || is_input_over_) {
      return;  // what may get no ack is not appended; the publisher sends it again
    }
    request->number = in_flight_.Push(batch.events(), request->bytes);
    if (!batch.records.empty()) {
      if (appends_unanswered_ == 0 && !is_log_failed_) {
        failures_seen_ = failures_seen;
      }
      failures_seen = failures_seen_;
      ++appends_unanswered_;
    }
    is_feeding_ = true;
    parts_untaken_ += calls_parts;
    for (calls::CallAck& ack : batch.call_acks) {
      parts_.budget->AddAcks(outbox_.PutAck(std::move(ack)));
    }
  }
  request->parts_left.store(1 + calls_parts, std::memory_order_relaxed);
  parts_.budget->AddRequest(request->bytes);
  FeedCalls(request, std::move(batch.serving), std::move(batch.updates));
  Append(request, std::move(batch), failures_seen);
}

void PublishStream::Append(const RequestPtr& request, Intake::Batch batch, uint64_t failures_seen) {
  if (batch.records.empty()) {
    OnAppended(request, {}, std::vector<log::Appended>());
    return;
  }
  parts_.log->Append(std::move(batch.records), failures_seen,
                     [self = shared_from_this(), request,
                      indexes = std::move(batch.indexes)](const absl::StatusOr<std::vector<log::Appended>>& appended) {
                       self->OnAppended(request, indexes, appended);
                       self->GoOn();
                     });
}

void PublishStream::OnAppended(const RequestPtr& request, const std::vector<uint32_t>& indexes,
                               const absl::StatusOr<std::vector<log::Appended>>& appended) {
  bool is_void = false;
  {
    const absl::MutexLock lock(&mutex_);
    appends_unanswered_ -= indexes.empty() ? 0U : 1U;
    is_void = is_log_failed_ && !indexes.empty();
    is_log_failed_ = is_log_failed_ || !appended.ok();
  }
  const absl::StatusOr<std::vector<log::Appended>> not_after_a_failure = NotAfterAFailure();
  const auto& outcome = is_void ? not_after_a_failure : appended;
  request->ack = Intake::Complete(std::move(request->ack), indexes, outcome);
  NoteAppended(request->ack, indexes, outcome, parts_.metrics);
  if (!appended.ok()) {
    const absl::MutexLock lock(&mutex_);
    FinishWith(absl::UnavailableError(appended.status().message()));
  }
  EndPart(request);
}

void PublishStream::EndPart(const RequestPtr& request) {
  // What others have written into it is seen by the last.
  if (request->parts_left.fetch_sub(1, std::memory_order_acq_rel) != 1) {
    return;
  }
  parts_.budget->ReleaseRequest(request->bytes);
  uint64_t dropped = 0;
  {
    const absl::MutexLock lock(&mutex_);
    parts_.budget->AddAcks(in_flight_.Complete(request->number, std::move(request->ack)));
    if (is_done_) {
      dropped = in_flight_.DropReady();
    }
  }
  parts_.budget->ReleaseAcks(dropped);
}

void PublishStream::OnWriteDone(bool ok) {
  uint64_t written = 0;
  {
    const absl::MutexLock lock(&mutex_);
    written = in_flight_.NoteWritten() + outbox_.NoteWritten();
    is_writing_ = false;
    half_close_ = half_close_ == HalfClose::kWriting ? HalfClose::kSure : half_close_;
    is_broken_ = is_broken_ || !ok;
  }
  parts_.budget->ReleaseAcks(written);
  GoOn();
}

void PublishStream::OnCancel() {
  parts_.call->NoteGivenUp();
  {
    const absl::MutexLock lock(&mutex_);
    is_broken_ = true;
  }
  GoOn();
}

void PublishStream::OnBudget() {
  {
    const absl::MutexLock lock(&mutex_);
    is_waiting_for_budget_ = false;
  }
  GoOn();
}

bool PublishStream::HasRoomToRead() {
  if (is_waiting_for_budget_ || in_flight_.events() > limits_.events_in_flight_max ||
      in_flight_.bytes() + outbox_.bytes() > limits_.bytes_in_flight_max || in_flight_.size() >= kRequestsInFlightMax) {
    return false;
  }
  if (in_flight_.ack_bytes() + outbox_.bytes() > 0 && !parts_.budget->HasRoomForAcks()) {
    return false;  // to go on when its own acks have been written
  }
  is_waiting_for_budget_ = !parts_.budget->HasRoomOrWait(shared_from_this());
  return !is_waiting_for_budget_;
}

absl::Duration PublishStream::PauseTime() const {
  return parts_.allowance == nullptr ? absl::ZeroDuration()
                                     : absl::FromChrono(parts_.allowance->Wait(base::MonotonicClock::now()));
}

void PublishStream::Resume() {
  {
    const absl::MutexLock lock(&mutex_);
    is_paused_ = false;
  }
  GoOn();
}

bool PublishStream::TakeResponse() {
  v1::PublishResponse response;
  in_flight_.MoveReadyTo(&response);
  const bool has_messages = outbox_.MoveTo(&response);
  // Behind its calls: what a worker lists on its next stream is what it has been told of.
  if (is_draining_untold_ && !outbox_.has_calls()) {
    response.set_draining(true);
    is_draining_untold_ = false;
    is_draining_told_ = true;
  }
  const bool is_probe = MustProbe();
  if (!has_messages && response.acks().empty() && !response.draining() && !is_probe) {
    return false;
  }
  half_close_ = is_probe ? HalfClose::kWriting : half_close_;
  bool own_buffer = true;
  write_buffer_.Clear();
  grpc::SerializationTraits<v1::PublishResponse>::Serialize(response, &write_buffer_, &own_buffer);
  write_begun_ = base::MonotonicClock::now();
  return true;
}

PublishStream::Next PublishStream::FindNext() {
  Next next;
  if (const std::optional<calls::Calls::Leave> leave = FindLeave()) {
    next.worker = std::move(worker_);
    next.leave = *leave;
    parts_.budget->ReleaseAcks(outbox_.DropCalls());
    return next;
  }
  if (is_finished_) {
    return next;
  }
  if (is_broken_) {
    is_finished_ = starting_ == 0;
    next.finish = is_finished_;
    next.status = grpc::Status::CANCELLED;
    return next;
  }
  if (must_cancel_ && !is_cancelled_) {
    is_cancelled_ = true;
    next.cancel = true;
    return next;
  }
  if (!is_writing_) {
    is_writing_ = TakeResponse();
    next.write = is_writing_;
  }
  if (is_input_over_) {
    if (!is_writing_ && in_flight_.empty() && outbox_.empty() && worker_ == nullptr && starting_ == 0) {
      is_finished_ = true;
      next.finish = true;
      next.status = status_;
    }
  } else if (!is_reading_ && !is_paused_ && HasRoomToRead()) {
    next.pause_time = PauseTime();
    is_paused_ = next.pause_time > absl::ZeroDuration();
    is_reading_ = !is_paused_;
    next.pause = is_paused_;
    next.read = is_reading_;
  }
  return next;
}

void PublishStream::GoOn() {
  while (true) {
    Next next;
    bool is_start = false;
    {
      const absl::MutexLock lock(&mutex_);
      next = FindNext();
      is_start = next.IsStart();
      starting_ += is_start ? 1 : 0;
    }
    if (next.cancel) {
      parts_.metrics->streams_timed_out.Add(1);
      context_->TryCancel();
    }
    if (next.write) {
      StartWrite(&write_buffer_);
    }
    if (next.read) {
      StartRead(&read_buffer_);
    }
    if (next.pause) {
      parts_.limiter->NoteLimited(parts_.identity->name());
      SetAlarm(absl::Now() + next.pause_time, [](PublishStream& stream) { stream.Resume(); }, &pause_alarm_);
    }
    if (next.worker != nullptr) {
      parts_.calls->RemoveWorker(std::move(next.worker), next.leave);
    }
    if (next.finish) {
      Finish(next.status);
    }
    if (!is_start) {
      return;
    }
    const absl::MutexLock lock(&mutex_);
    --starting_;
  }
}

void PublishStream::OnDone() {
  draining_alarm_.Cancel();
  end_alarm_.Cancel();
  pause_alarm_.Cancel();
  absl::AnyInvocable<void(PublishStream*)> on_done;
  uint64_t dropped = 0;
  {
    const absl::MutexLock lock(&mutex_);
    is_finished_ = true;
    is_done_ = true;
    on_done = std::move(on_done_);
    dropped = in_flight_.NoteWritten() + in_flight_.DropReady() + outbox_.NoteWritten() + outbox_.DropAll();
  }
  parts_.budget->ReleaseAcks(dropped);
  parts_.metrics->streams.Sub(1);
  on_done(this);
  const std::shared_ptr<PublishStream> last = std::move(self_);
}

}  // namespace bridge::rpc
