#include "bridge/log/jetstream/publisher.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace bridge::log::jetstream {
namespace {

// JetStream acks in milliseconds; where it has not for so long, who knows what became of a record.
constexpr std::chrono::seconds kAckTimeout{5};

// How soon the thread that waits for acks sees that there is something else to answer.
constexpr absl::Duration kLook = absl::Milliseconds(20);

// Taken in one go: acks, and records to be published.
constexpr size_t kAcksMax = 512;
constexpr size_t kSliceMax = 64;

// What a message has beside its body: the header with its id.
constexpr size_t kHeaderBytes = 64;

absl::Status EndingError() { return absl::UnavailableError("the log is ending"); }

}  // namespace

Publisher::Publisher(const JetStreamOptions& options, Link* link)
    : options_(options),
      link_(link),
      publishing_([this] { RunPublishing(); }),
      answering_([this] { RunAnswering(); }) {}

Publisher::~Publisher() {
  {
    const absl::MutexLock lock(&mutex_);
    is_ending_ = true;
    is_stopped_ = true;
    FailAll(EndingError());
  }
  publishing_.join();
  answering_.join();
}

void Publisher::Append(std::vector<Record> records, uint64_t failures_seen, EventLog::AppendCallback done) {
  Request request{.records = std::move(records), .done = std::move(done)};
  request.open = request.records.size();
  const absl::MutexLock lock(&mutex_);
  if (is_stopped_) {
    failures_.fetch_add(1, std::memory_order_relaxed);
  }
  if (failures_seen != failures()) {
    request.failure = failure_;
    request.records.clear();  // nothing to be published
    link_->counters().append_failures.fetch_add(1, std::memory_order_relaxed);
  }
  requests_.push_back(std::move(request));
}

void Publisher::Start(const std::shared_ptr<Session>& session) {
  const absl::MutexLock lock(&mutex_);
  if (is_ending_) {
    return;
  }
  session_ = session;
  is_stopped_ = false;
  if (epoch_ != session->epoch() || session->has_lost_its_end()) {
    epoch_ = session->epoch();
    handed_over_ = 0;
    not_handed_over_.clear();
  }
}

void Publisher::Stop(const absl::Status& why) {
  const absl::MutexLock lock(&mutex_);
  if (!is_ending_) {
    FailAll(why);
    is_stopped_ = true;
  }
}

void Publisher::NoteHandedOver(uint64_t sequence) {
  const absl::MutexLock lock(&mutex_);
  handed_over_ = sequence;
  DropHandedOver(sequence);
}

void Publisher::NoteGone(uint64_t sequence) {
  const absl::MutexLock lock(&mutex_);
  DropHandedOver(sequence);
}

void Publisher::DropHandedOver(uint64_t up_to) {
  while (!not_handed_over_.empty() && not_handed_over_.front() <= up_to) {
    not_handed_over_.pop_front();
  }
}

void Publisher::FailAll(const absl::Status& why) {
  failure_ = absl::UnavailableError(why.message());
  failures_.fetch_add(1, std::memory_order_relaxed);
  first_unacked_ += unacked_.size();
  unacked_.clear();
  unacked_bytes_ = 0;
  next_request_ = first_request_ + requests_.size();
  for (Request& request : requests_) {
    if (request.failure.ok()) {
      request.failure = failure_;
      link_->counters().append_failures.fetch_add(1, std::memory_order_relaxed);
    }
  }
}

bool Publisher::HasRoom() const {
  return unacked_.size() < kUnackedMax && unacked_bytes_ < kUnackedBytesMax &&
         not_handed_over_.size() < kNotHandedOverMax;
}

bool Publisher::HasWork() const {
  return is_ending_ || (next_request_ < first_request_ + requests_.size() && HasRoom());
}

void Publisher::RunPublishing() {
  Slice slice;
  std::shared_ptr<Session> unsent;  // to be told to send what has been published
  while (true) {
    if (unsent != nullptr && !HasSlice()) {
      unsent->connection().SendNow();
      unsent.reset();
    }
    if (!AwaitSlice(&slice)) {
      return;
    }
    Encode(&slice);
    absl::Status status;
    for (size_t from = 0; from < slice.encoded.size() && status.ok();) {
      const size_t count = Number(&slice, from);
      if (count == 0) {
        break;
      }
      status = Publish(slice, from, from + count);
      if (status.ok()) {
        AcceptEphemeral(slice, from, from + count);
      }
      from += count;
    }
    if (!status.ok()) {
      // What the server has got of the last message nobody knows: the connection is no good any more.
      slice.session->connection().Close();
      const absl::MutexLock lock(&mutex_);
      if (failures() == slice.failures) {
        FailAll(status);
      }
    }
    unsent = std::move(slice.session);
    slice.encoded.clear();
    slice.bytes.clear();
  }
}

bool Publisher::HasSlice() {
  const absl::MutexLock lock(&mutex_);
  return HasWork();
}

bool Publisher::AwaitSlice(Slice* slice) {
  const absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(this, &Publisher::HasWork));
  if (is_ending_) {
    return false;
  }
  slice->session = session_;
  slice->failures = failures();
  slice->request = next_request_++;
  slice->records = std::move(RequestOf(slice->request).records);
  return true;
}

void Publisher::Encode(Slice* slice) {
  slice->encoded.reserve(slice->records.size());
  for (const Record& record : slice->records) {
    Encoded encoded = {.index = slice->encoded.size(), .at = slice->bytes.size(), .ephemeral = record.ephemeral};
    encoder_.Encode(record, &slice->bytes);
    encoded.size = slice->bytes.size() - encoded.at;
    encoded.subject = record.ephemeral ? LiveSubject(options_.subject_prefix, record.topic)
                                       : KeptSubject(options_.subject_prefix, record.topic);
    if (!record.ephemeral && options_.idempotency_window > absl::ZeroDuration()) {
      encoded.message_id = message_ids_.Of(record);
    }
    slice->encoded.push_back(std::move(encoded));
  }
  slice->records.clear();
}

size_t Publisher::Number(Slice* slice, size_t from) {
  const size_t bytes_max = slice->session->connection().max_payload();
  const absl::MutexLock lock(&mutex_);
  const auto can_go_on = [this, slice]()
                             ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return failures() != slice->failures || HasRoom(); };
  mutex_.Await(absl::Condition(&can_go_on));
  if (failures() != slice->failures) {
    return 0;
  }
  const base::MonotonicTime now = base::MonotonicClock::now();
  Request& request = RequestOf(slice->request);
  request.appended.resize(slice->encoded.size());
  size_t at = from;
  for (; at < slice->encoded.size() && at < from + kSliceMax && HasRoom(); ++at) {
    Encoded& encoded = slice->encoded[at];
    const size_t bytes = encoded.size + kHeaderBytes;
    if (bytes > bytes_max) {
      request.appended[at].status = absl::InvalidArgumentError(
          absl::StrCat("the record has ", bytes, " bytes, NATS takes messages of ", bytes_max, " (max_payload)"));
      --request.open;
      encoded.subject.clear();
    } else if (!encoded.ephemeral) {
      encoded.number = first_unacked_ + unacked_.size();
      unacked_.push_back({.request = slice->request, .index = at, .bytes = bytes, .published = now});
      unacked_bytes_ += bytes;
    }
  }
  return at - from;
}

absl::Status Publisher::Publish(const Slice& slice, size_t from, size_t to) {
  for (size_t at = from; at < to && failures() == slice.failures; ++at) {
    const Encoded& encoded = slice.encoded[at];
    if (encoded.subject.empty()) {
      continue;
    }
    reply_.clear();
    if (!encoded.ephemeral) {
      absl::StrAppend(&reply_, slice.session->acks().subject, ".", encoded.number);
    }
    const absl::Status status =
        slice.session->connection().Publish({.subject = encoded.subject,
                                             .reply = reply_,
                                             .data = absl::string_view(slice.bytes).substr(encoded.at, encoded.size),
                                             .message_id = encoded.message_id});
    if (!status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

void Publisher::AcceptEphemeral(const Slice& slice, size_t from, size_t to) {
  const auto is_accepted = [](const Encoded& encoded) { return encoded.ephemeral && !encoded.subject.empty(); };
  const absl::Span<const Encoded> published = absl::MakeConstSpan(slice.encoded).subspan(from, to - from);
  if (std::none_of(published.begin(), published.end(), is_accepted)) {
    return;
  }
  const absl::MutexLock lock(&mutex_);
  if (failures() != slice.failures) {
    return;
  }
  Request& request = RequestOf(slice.request);
  for (const Encoded& encoded : published) {
    if (is_accepted(encoded)) {
      request.appended[encoded.index].position = {.epoch = epoch_, .sequence = 0};
      --request.open;
    }
  }
}

void Publisher::RunAnswering() {
  std::shared_ptr<Session> session;
  while (AwaitWork(&session)) {
    if (session != nullptr) {
      TakeAcks(*session);
    }
    TakeAnswerable();
    Answer();
  }
}

bool Publisher::AwaitWork(std::shared_ptr<Session>* session) {
  const absl::MutexLock lock(&mutex_);
  const auto has_work = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return is_ending_ || !unacked_.empty() || (!requests_.empty() && requests_.front().IsAnswerable());
  };
  mutex_.Await(absl::Condition(&has_work));
  *session = unacked_.empty() ? nullptr : session_;
  return !is_ending_ || !requests_.empty();
}

void Publisher::TakeAcks(const Session& session) {
  Message message = session.acks().inbox->Next(kLook);
  for (; message; message = session.acks().inbox->Next(absl::ZeroDuration())) {
    Ack ack;
    const absl::string_view subject = message.subject();
    if (subject.size() > session.acks().subject.size() &&
        absl::SimpleAtoi(subject.substr(session.acks().subject.size() + 1), &ack.number)) {
      ack.ack = ParsePubAck(message.data(), options_.stream);
    } else {
      ack.number = 0;
      ack.ack = absl::UnavailableError("nobody takes what is published: the stream has no leader, or is gone");
    }
    acks_.push_back(std::move(ack));
    spent_.Add(std::move(message));
    if (acks_.size() == kAcksMax) {
      break;
    }
  }
  if (acks_.empty()) {
    spent_.Free();
  }
  const absl::MutexLock lock(&mutex_);
  for (Ack& ack : acks_) {
    Apply(std::move(ack));
  }
  acks_.clear();
  if (unacked_.empty()) {
    return;
  }
  if (!session.connection().is_open()) {
    FailAll(absl::UnavailableError("the connection to NATS is lost"));
  } else if (base::MonotonicClock::now() - unacked_.front().published > kAckTimeout) {
    FailAll(absl::UnavailableError(absl::StrCat("JetStream has not acked for ", kAckTimeout.count(), " s")));
  }
}

void Publisher::Apply(Ack ack) {
  const bool is_nobodys = !ack.ack.ok() && ack.number == 0;
  if (!is_nobodys && (ack.number < first_unacked_ || ack.number - first_unacked_ >= unacked_.size())) {
    return;  // of messages that have failed already
  }
  if (!ack.ack.ok()) {
    FailAll(ack.ack.status());
    return;
  }
  Unacked& message = unacked_[ack.number - first_unacked_];
  if (message.is_acked) {
    return;
  }
  message.is_acked = true;
  Request& request = RequestOf(message.request);
  --request.open;
  request.appended[message.index].position = {.epoch = epoch_, .sequence = ack.ack->sequence};
  request.appended[message.index].is_duplicate = ack.ack->is_duplicate;
  session_->NoteNewest(ack.ack->sequence);
  if (!ack.ack->is_duplicate && ack.ack->sequence > handed_over_) {
    not_handed_over_.push_back(ack.ack->sequence);
  }
  while (!unacked_.empty() && unacked_.front().is_acked) {
    unacked_bytes_ -= unacked_.front().bytes;
    unacked_.pop_front();
    ++first_unacked_;
  }
}

void Publisher::TakeAnswerable() {
  const absl::MutexLock lock(&mutex_);
  while (!requests_.empty() && requests_.front().IsAnswerable()) {
    answerable_.push_back(std::move(requests_.front()));
    requests_.pop_front();
    ++first_request_;
  }
  next_request_ = std::max(next_request_, first_request_);
}

void Publisher::Answer() {
  for (Request& request : answerable_) {
    if (request.failure.ok()) {
      request.done(std::move(request.appended));
    } else {
      request.done(request.failure);
    }
  }
  answerable_.clear();
}

}  // namespace bridge::log::jetstream
