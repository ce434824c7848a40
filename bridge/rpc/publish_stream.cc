#include "bridge/rpc/publish_stream.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <grpcpp/impl/codegen/proto_utils.h>

#include "absl/random/random.h"

namespace bridge::rpc {
namespace {

// Acks that wait for the publisher to read: beyond them it is not read either.
constexpr int kUnsentAcksMax = 1000;

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
    const absl::Time end = absl::Now() + limits_.age_max * absl::Uniform(random, 0.9, 1.1);
    age_alarm_.Set(absl::ToChronoTime(end), [weak = weak_from_this()](bool is_due) {
      if (const auto alive = weak.lock(); is_due && alive) {
        alive->TellDraining();
      }
    });
  }
  GoOn();
}

PublishStream::PublishStream(const Parts& parts, const Limits& limits, absl::AnyInvocable<void(PublishStream*)> on_done)
    : parts_(parts), limits_(limits), on_done_(std::move(on_done)) {
  parts_.metrics->streams.Add(1);
  parts_.metrics->streams_opened.Add(1);
}

void PublishStream::TellDraining() {
  {
    absl::MutexLock lock(&mutex_);
    response_.set_draining(true);
  }
  GoOn();
}

void PublishStream::End() {
  {
    absl::MutexLock lock(&mutex_);
    FinishWith(
        grpc::Status(grpc::StatusCode::UNAVAILABLE, "the bridge stops; connect again and send what was not acked"));
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
  parts_.budget->Add(bytes);
  uint64_t number = 0;
  {
    absl::MutexLock lock(&mutex_);
    number = first_number_ + in_flight_.size();
    in_flight_.push_back({.ack = {}, .events = batch.records.size(), .bytes = bytes});
    events_in_flight_ += batch.records.size();
    bytes_in_flight_ += bytes;
  }
  if (batch.records.empty()) {
    OnAppended(number, std::move(batch.ack), {}, std::vector<log::Appended>());
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
  absl::StatusOr<std::vector<log::Appended>> outcome =
      absl::UnavailableError("an event before this one could not be appended; send it again after that one");
  bool is_void = false;
  {
    absl::MutexLock lock(&mutex_);
    is_void = is_log_failed_ && !indexes.empty();
    is_log_failed_ = is_log_failed_ || !appended.ok();
  }
  v1::Ack complete = Intake::Complete(std::move(ack), indexes, is_void ? outcome : appended);
  NoteAppended(complete, indexes, is_void ? outcome : appended, parts_.metrics);
  uint64_t released = 0;
  {
    absl::MutexLock lock(&mutex_);
    InFlight& request = in_flight_[static_cast<size_t>(number - first_number_)];
    request.ack = std::move(complete);
    request.is_ready = true;
    while (!in_flight_.empty() && in_flight_.front().is_ready) {
      InFlight& first = in_flight_.front();
      events_in_flight_ -= first.events;
      bytes_in_flight_ -= first.bytes;
      released += first.bytes;
      *response_.add_acks() = std::move(first.ack);
      in_flight_.pop_front();
      ++first_number_;
    }
    if (!appended.ok()) {
      FinishWith(grpc::Status(grpc::StatusCode::UNAVAILABLE, std::string(appended.status().message())));
    }
  }
  parts_.budget->Release(released);
}

void PublishStream::OnWriteDone(bool ok) {
  {
    absl::MutexLock lock(&mutex_);
    is_writing_ = false;
    is_broken_ = is_broken_ || !ok;
  }
  GoOn();
}

void PublishStream::OnCancel() {
  {
    absl::MutexLock lock(&mutex_);
    is_broken_ = true;
  }
  GoOn();
}

void PublishStream::OnBudget() { GoOn(); }

bool PublishStream::HasRoomToRead() {
  return events_in_flight_ <= limits_.events_in_flight_max && bytes_in_flight_ <= limits_.bytes_in_flight_max &&
         response_.acks_size() < kUnsentAcksMax && parts_.budget->HasRoomOrWait(shared_from_this());
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
  if (!is_writing_ && (response_.acks_size() > 0 || response_.draining())) {
    next.write = true;
    is_writing_ = true;
    bool own_buffer = true;
    // Response and buffer are the next write's from here on.
    write_buffer_.Clear();
    grpc::SerializationTraits<v1::PublishResponse>::Serialize(response_, &write_buffer_, &own_buffer);
    response_.Clear();
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
  age_alarm_.Cancel();
  absl::AnyInvocable<void(PublishStream*)> on_done;
  {
    absl::MutexLock lock(&mutex_);
    is_finished_ = true;
    on_done = std::move(on_done_);
  }
  parts_.metrics->streams.Sub(1);
  on_done(this);
  const std::shared_ptr<PublishStream> last = std::move(self_);
}

}  // namespace bridge::rpc
