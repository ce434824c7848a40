#include "bridge/log/jetstream/delivery.h"

#include <algorithm>
#include <utility>

#include "bridge/log/jetstream/stored_record.h"
#include "bridge/ops/logging.h"

namespace bridge::log::jetstream {
namespace {

// Asked for at a time; two orders are under way, so that none is waited for.
constexpr size_t kOrderMessages = 1024;
constexpr size_t kOrderBytes = size_t{16} << 20;
constexpr absl::Duration kOrderWait = absl::Seconds(30);

// The server says something twice a second; a consumer that was not heard of for so long is made again.
constexpr absl::Duration kSilenceMax = absl::Seconds(2);

// How soon a consumer that could not be made is tried again, and how soon the end of the session is noticed.
constexpr absl::Duration kRetryAfter = absl::Milliseconds(200);
constexpr absl::Duration kLook = absl::Milliseconds(250);

size_t BytesOf(const Entry& entry) { return entry.record.data.size() + sizeof(Entry); }

// A call of the follower gets about so many bytes.
constexpr size_t kBytesPerCallMax = size_t{1} << 20;

// The sequence before the tail's first one.
uint64_t HeadBefore(const StreamInfo& stream, const EventLog::Tail& tail) {
  const uint64_t mean_bytes = std::max<uint64_t>(1, stream.bytes / std::max<uint64_t>(1, stream.messages));
  const uint64_t wanted = std::min<uint64_t>(tail.events_max, tail.bytes_max / mean_bytes);
  return std::max(stream.first - 1, stream.last - std::min(wanted, stream.last));
}

}  // namespace

Delivery::Delivery(const JetStreamOptions& options, Link* link, std::function<void(uint64_t)> on_handed_over)
    : options_(options),
      link_(link),
      on_handed_over_(std::move(on_handed_over)),
      kept_thread_([this] { RunKept(); }),
      live_thread_([this] { RunLive(); }) {}

Delivery::~Delivery() {
  handover_.End();
  kept_thread_.join();
  live_thread_.join();
}

uint64_t Delivery::handed_over(uint64_t epoch) const {
  const HandedOver last = handed_over();
  return last.epoch == epoch ? last.sequence : 0;
}

absl::StatusOr<bool> Delivery::HasOtherMessage(const Session& session) const {
  const HandedOver last = handed_over();
  if (last.epoch != session.epoch() || last.message_sequence == 0) {
    return false;
  }
  const absl::StatusOr<std::optional<StoredMessage>> found =
      GetNextMessage(session.connection(), options_.stream,
                     {.first = last.message_sequence, .filter = KeptSubject(options_.subject_prefix, ">")});
  if (!found.ok()) {
    return absl::UnavailableError(found.status().message());
  }
  const std::optional<StoredMessage>& message = *found;
  return message && message->sequence == last.message_sequence &&
         HashOfMessage(message->subject, message->data) != last.message_hash;
}

void Delivery::RunKept() {
  if (!handover_.AwaitTail(&tail_)) {
    return;
  }
  std::shared_ptr<Session> session;
  while ((session = link_->AwaitSession(session)) != nullptr) {
    FollowSession(session);
  }
}

void Delivery::FollowSession(const std::shared_ptr<Session>& session) {
  if (!Begin(*session)) {
    return;
  }
  bool is_first = true;
  while (session->connection().is_open() && (is_first || !link_->AwaitEnd(kRetryAfter))) {
    if (!std::exchange(is_first, false)) {
      // What the server behind this connection has may be another copy by now.
      const absl::StatusOr<bool> has_other = HasOtherMessage(*session);
      if (has_other.value_or(false)) {
        session->connection().Close();  // the next session starts anew
      }
      if (has_other.value_or(true)) {
        continue;
      }
    }
    absl::StatusOr<Pull> pull =
        Pull::Open(options_, *session,
                   {.first = std::max<uint64_t>(1, taken_), .filter = KeptSubject(options_.subject_prefix, ">")});
    if (pull.ok()) {
      FollowConsumer(*session, &*pull);
    } else {
      ops::LogDebug("follow_failed", {{"error", pull.status().message()}});
    }
  }
}

bool Delivery::Begin(const Session& session) {
  const StreamInfo& stream = session.stream();
  if (handed_over().epoch == stream.created && !session.has_lost_its_end()) {
    return stream.first <= taken_ + 1 || TellGap(stream.first - 1);
  }
  taken_ = HeadBefore(stream, tail_);
  SetHandedOver({.epoch = stream.created, .sequence = taken_});
  catch_up_to_ = stream.last;
  return handover_.Epoch(stream.created, taken_) && (taken_ < stream.last || CatchUp());
}

bool Delivery::CatchUp() {
  catch_up_to_.reset();
  return handover_.CaughtUp();
}

void Delivery::FollowConsumer(Session& session, Pull* pull) {
  const Pull::Order order = {.messages = kOrderMessages, .bytes = kOrderBytes, .wait = kOrderWait};
  if (catch_up_to_ && pull->pending_at_start() == 0 && !CatchUp()) {
    return;
  }
  while (session.connection().is_open()) {
    while (pull->outstanding() <= kOrderMessages) {
      if (!pull->Ask(order, session.kept()).ok()) {
        return;
      }
    }
    const bool is_lost = !Take(session, pull) || pull->silence() > kSilenceMax;
    session.NoteNewest(taken_);
    if (!HandOver()) {
      return;
    }
    if (is_lost) {
      pull->Forget();
      return;
    }
  }
}

bool Delivery::Take(const Session& session, Pull* pull) {
  size_t bytes = 0;
  absl::Duration patience = kLook;
  while (batch_.size() < kEntriesPerCallMax && bytes < kBytesPerCallMax) {
    InPlace message;
    const Pull::Got got = pull->Next(session.kept(), patience, &message);
    if (got == Pull::Got::kLost) {
      return false;
    }
    if (got != Pull::Got::kMessage) {
      return true;
    }
    patience = absl::ZeroDuration();
    if (message.sequence > taken_ + 1 && !PassOver(session, message.sequence - 1)) {
      return false;
    }
    const bool is_next = message.sequence > taken_;
    taken_ = std::max(taken_, message.sequence);
    if (catch_up_to_ && message.pending == 0 && message.sequence == taken_) {
      catch_up_to_ = std::min(*catch_up_to_, taken_);
    }
    if (!is_next) {
      const bool is_same = Recognize(message);
      spent_.Add(std::move(message.message));
      if (!is_same) {
        return false;  // what the leader has says whether another consumer helps, or the stream has lost its end
      }
      continue;
    }
    absl::StatusOr<Record> record =
        ReadStored(options_.subject_prefix, message.message.subject(), message.message.data());
    spent_.Add(std::exchange(last_message_, std::move(message.message)));
    if (!record.ok()) {
      link_->NoteUnreadable(message.sequence, record.status());
      continue;
    }
    batch_.push_back({.sequence = message.sequence, .record = *std::move(record), .received = {}});
    batch_.back().received = ReceivedAt(batch_.back().record);
    bytes += BytesOf(batch_.back());
  }
  return true;
}

bool Delivery::Recognize(const InPlace& message) {
  HandedOver last = handed_over();
  if (message.sequence < last.message_sequence) {
    return true;  // what stood there is not remembered
  }
  const size_t hash = HashOfMessage(message.message.subject(), message.message.data());
  if (message.sequence > last.message_sequence) {
    last.message_sequence = message.sequence;
    last.message_hash = hash;
    SetHandedOver(last);
    return true;
  }
  if (hash == last.message_hash) {
    return true;
  }
  if (const auto suppressed = other_message_lines_.Admit()) {
    ops::LogWarn("message_is_another", {{"sequence", message.sequence}, {"suppressed", *suppressed}});
  }
  return false;
}

bool Delivery::HandOver() {
  if (batch_.empty()) {
    spent_.Free();
  } else {
    if (!handover_.Entries(batch_)) {
      return false;
    }
    batch_.clear();
  }
  if (HandedOver last = handed_over(); last.sequence != taken_) {
    last.sequence = taken_;
    if (last_message_) {
      last.message_sequence = taken_;
      last.message_hash = HashOfMessage(last_message_.subject(), last_message_.data());
      spent_.Add(std::exchange(last_message_, Message()));
    }
    SetHandedOver(last);
    on_handed_over_(taken_);
  }
  return !catch_up_to_ || taken_ < *catch_up_to_ || CatchUp();
}

bool Delivery::PassOver(const Session& session, uint64_t last_missing) {
  const absl::StatusOr<StreamInfo> stream = GetStream(session.connection(), options_.stream);
  if (!stream.ok() || stream->created != session.epoch()) {
    return false;
  }
  return stream->first <= taken_ + 1 || TellGap(last_missing);
}

bool Delivery::TellGap(uint64_t last_missing) {
  if (!HandOver()) {
    return false;
  }
  ops::LogWarn("records_missed", {{"from", taken_ + 1}, {"to", last_missing}, {"reason", "trimmed"}});
  taken_ = last_missing;
  return handover_.Gap(last_missing, Follower::Missing::kTrimmed);
}

void Delivery::RunLive() {
  std::shared_ptr<Session> session;
  while ((session = link_->AwaitSession(session)) != nullptr) {
    while (session->connection().is_open()) {
      std::vector<Entry> entries;
      Message message = session->live().inbox->Next(absl::Seconds(1));
      for (; message; message = session->live().inbox->Next(absl::ZeroDuration())) {
        absl::StatusOr<Record> record = ReadStored(options_.subject_prefix, message.subject(), message.data());
        if (record.ok()) {
          record->ephemeral = true;
          entries.push_back({.sequence = 0, .record = *std::move(record), .received = {}});
          entries.back().received = ReceivedAt(entries.back().record);
        } else {
          link_->NoteUnreadable(0, record.status());
        }
        if (entries.size() == kEntriesPerCallMax) {
          break;
        }
      }
      if (!entries.empty() && !handover_.Entries(entries)) {
        return;
      }
    }
  }
}

}  // namespace bridge::log::jetstream
