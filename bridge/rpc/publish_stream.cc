#include "bridge/rpc/publish_stream.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <grpcpp/impl/codegen/proto_utils.h>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"

namespace bridge::rpc {
namespace {

// Requests that have been read and whose acks have not been written: beyond them the publisher is not read.
constexpr size_t kRequestsInFlightMax = 10'000;

// Acks and the requests that they are for, in one response: a client's limit for a message is 4 MiB by default.
constexpr uint64_t kResponseBytesMax = uint64_t{1} << 20;

// A publisher that has been told of its stream's age has so long to open another and half-close this one. The comment
// of grpc.stream_max_age says it too.
constexpr absl::Duration kToReconnect = absl::Seconds(10);

absl::StatusOr<std::vector<log::Appended>> NotAfterAFailure() {
  return absl::UnavailableError("an event before this one could not be appended; send it again after that one");
}

}  // namespace

std::shared_ptr<PublishStream> PublishStream::Create(const Parts& parts, const Limits& limits,
                                                     absl::AnyInvocable<void(PublishStream*)> on_done) {
  auto stream = std::shared_ptr<PublishStream>(new PublishStream(parts, limits, std::move(on_done)));
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

PublishStream::PublishStream(const Parts& parts, const Limits& limits, absl::AnyInvocable<void(PublishStream*)> on_done)
    : parts_(parts), limits_(limits), on_done_(std::move(on_done)) {
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

void PublishStream::TellDraining() {
  {
    absl::MutexLock lock(&mutex_);
    is_draining_untold_ = true;
  }
  GoOn();
}

void PublishStream::End(const std::string& why) {
  {
    absl::MutexLock lock(&mutex_);
    if (!is_input_over_) {
      FinishWith(grpc::Status(grpc::StatusCode::UNAVAILABLE, why));
    }
  }
  GoOn();
}

void PublishStream::FinishWith(const grpc::Status& status) {
  if (!is_input_over_ || status_.ok()) {
    is_input_over_ = true;
    status_ = status;
  }
}

void PublishStream::OnReadDone(bool ok) {
  if (!ok) {
    absl::MutexLock lock(&mutex_);
    is_reading_ = false;
    is_input_over_ = true;
  } else {
    const uint64_t bytes = read_buffer_.Length();
    parts_.metrics->requests.Add(1);
    auto batch = parts_.intake->Take(read_buffer_, /*publisher=*/"");
    read_buffer_.Clear();
    if (batch.ok()) {
      Append(*std::move(batch), bytes);
    }
    absl::MutexLock lock(&mutex_);
    is_reading_ = false;
    if (!batch.ok()) {
      FinishWith(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, std::string(batch.status().message())));
    }
  }
  GoOn();
}

void PublishStream::Append(Intake::Batch batch, uint64_t bytes) {
  bytes += batch.records.size() * sizeof(log::Record);
  uint64_t number = 0;
  bool is_void = false;
  {
    absl::MutexLock lock(&mutex_);
    if (is_finished_) {
      return;  // what can get no ack is not appended; the publisher sends it again
    }
    number = first_number_ + in_flight_.size();
    in_flight_.push_back({.ack = {}, .events = batch.records.size(), .bytes = bytes});
    events_in_flight_ += batch.records.size();
    bytes_in_flight_ += bytes;
    is_void = is_log_failed_;
  }
  parts_.budget->Add(bytes);
  if (batch.records.empty()) {
    OnAppended(number, std::move(batch.ack), {}, std::vector<log::Appended>());
    return;
  }
  if (is_void) {
    OnAppended(number, std::move(batch.ack), batch.indexes, NotAfterAFailure());
    return;
  }
  parts_.log->Append(std::move(batch.records),
                     [self = shared_from_this(), number, ack = std::move(batch.ack),
                      indexes = std::move(batch.indexes)](absl::StatusOr<std::vector<log::Appended>> appended) mutable {
                       self->OnAppended(number, std::move(ack), indexes, appended);
                       self->GoOn();
                     });
}

void PublishStream::OnAppended(uint64_t number, v1::Ack ack, const std::vector<uint32_t>& indexes,
                               const absl::StatusOr<std::vector<log::Appended>>& appended) {
  bool is_void = false;
  {
    absl::MutexLock lock(&mutex_);
    is_void = is_log_failed_ && !indexes.empty();
    is_log_failed_ = is_log_failed_ || !appended.ok();
  }
  const absl::StatusOr<std::vector<log::Appended>> not_after_a_failure = NotAfterAFailure();
  const auto& outcome = is_void ? not_after_a_failure : appended;
  v1::Ack complete = Intake::Complete(std::move(ack), indexes, outcome);
  NoteAppended(complete, indexes, outcome, parts_.metrics);
  // A publisher that reads no acks must not pile them up here: they count as in flight until they have been written.
  const uint64_t ack_bytes = complete.SpaceUsedLong();
  parts_.budget->Add(ack_bytes);
  uint64_t released = 0;
  {
    absl::MutexLock lock(&mutex_);
    InFlight& request = in_flight_[static_cast<size_t>(number - first_number_)];
    request.ack = std::move(complete);
    request.is_ready = true;
    request.bytes += ack_bytes;
    bytes_in_flight_ += ack_bytes;
    if (!appended.ok()) {
      FinishWith(grpc::Status(grpc::StatusCode::UNAVAILABLE, std::string(appended.status().message())));
    }
    if (is_done_) {
      released = DropReadyAcks();
    }
  }
  if (released > 0) {
    parts_.budget->Release(released);
  }
}

void PublishStream::OnWriteDone(bool ok) {
  uint64_t released = 0;
  {
    absl::MutexLock lock(&mutex_);
    released = std::exchange(writing_bytes_, 0);
    bytes_in_flight_ -= released;
    is_writing_ = false;
    is_broken_ = is_broken_ || !ok;
  }
  parts_.budget->Release(released);
  GoOn();
}

void PublishStream::OnCancel() {
  {
    absl::MutexLock lock(&mutex_);
    is_broken_ = true;
  }
  GoOn();
}

void PublishStream::OnBudget() {
  {
    absl::MutexLock lock(&mutex_);
    is_waiting_for_budget_ = false;
  }
  GoOn();
}

bool PublishStream::HasRoomToRead() {
  if (is_waiting_for_budget_ || events_in_flight_ > limits_.events_in_flight_max ||
      bytes_in_flight_ > limits_.bytes_in_flight_max || in_flight_.size() >= kRequestsInFlightMax) {
    return false;
  }
  is_waiting_for_budget_ = !parts_.budget->HasRoomOrWait(shared_from_this());
  return !is_waiting_for_budget_;
}

bool PublishStream::TakeReadyAcks() {
  v1::PublishResponse response;
  response.set_draining(std::exchange(is_draining_untold_, false));
  while (!in_flight_.empty() && in_flight_.front().is_ready && writing_bytes_ < kResponseBytesMax) {
    InFlight& first = in_flight_.front();
    events_in_flight_ -= first.events;
    writing_bytes_ += first.bytes;
    *response.add_acks() = std::move(first.ack);
    in_flight_.pop_front();
    ++first_number_;
  }
  if (response.acks().empty() && !response.draining()) {
    return false;
  }
  bool own_buffer = true;
  write_buffer_.Clear();
  grpc::SerializationTraits<v1::PublishResponse>::Serialize(response, &write_buffer_, &own_buffer);
  return true;
}

uint64_t PublishStream::DropReadyAcks() {
  uint64_t released = 0;
  while (!in_flight_.empty() && in_flight_.front().is_ready) {
    released += in_flight_.front().bytes;
    in_flight_.pop_front();
    ++first_number_;
  }
  return released;
}

PublishStream::Next PublishStream::FindNext() {
  Next next;
  if (is_finished_) {
    return next;
  }
  if (is_broken_) {
    is_finished_ = starting_ == 0;
    next.finish = is_finished_;
    next.status = grpc::Status::CANCELLED;
    return next;
  }
  if (!is_writing_) {
    is_writing_ = TakeReadyAcks();
    next.write = is_writing_;
  }
  if (is_input_over_) {
    if (!is_writing_ && in_flight_.empty() && starting_ == 0) {
      is_finished_ = true;
      next.finish = true;
      next.status = status_;
    }
  } else if (!is_reading_ && HasRoomToRead()) {
    is_reading_ = true;
    next.read = true;
  }
  return next;
}

void PublishStream::GoOn() {
  while (true) {
    Next next;
    {
      absl::MutexLock lock(&mutex_);
      next = FindNext();
      starting_ += next.read || next.write ? 1 : 0;
    }
    if (next.write) {
      StartWrite(&write_buffer_);
    }
    if (next.read) {
      StartRead(&read_buffer_);
    }
    if (next.finish) {
      Finish(next.status);
    }
    if (!next.read && !next.write) {
      return;
    }
    absl::MutexLock lock(&mutex_);
    --starting_;
  }
}

void PublishStream::OnDone() {
  draining_alarm_.Cancel();
  end_alarm_.Cancel();
  absl::AnyInvocable<void(PublishStream*)> on_done;
  uint64_t released = 0;
  {
    absl::MutexLock lock(&mutex_);
    is_finished_ = true;
    is_done_ = true;
    on_done = std::move(on_done_);
    released = std::exchange(writing_bytes_, 0) + DropReadyAcks();
  }
  parts_.budget->Release(released);
  parts_.metrics->streams.Sub(1);
  on_done(this);
  const std::shared_ptr<PublishStream> last = std::move(self_);
}

}  // namespace bridge::rpc
