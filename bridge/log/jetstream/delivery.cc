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
  return epoch_.load(std::memory_order_acquire) == epoch ? handed_over_.load(std::memory_order_acquire) : 0;
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
    is_first = false;
    absl::StatusOr<Pull> pull =
        Pull::Open(options_, *session, {.first = taken_ + 1, .filter = KeptSubject(options_.subject_prefix, ">")});
    if (pull.ok()) {
      FollowConsumer(*session, &*pull);
    } else {
      ops::LogDebug("follow_failed", {{"error", pull.status().message()}});
    }
  }
}

bool Delivery::Begin(const Session& session) {
  const StreamInfo& stream = session.stream();
  if (epoch_.load() == stream.created && !session.has_lost_its_end()) {
    if (stream.first > taken_ + 1) {
      ops::LogWarn("records_missed", {{"from", taken_ + 1}, {"to", stream.first - 1}, {"reason", "trimmed"}});
    }
    return true;
  }
  taken_ = HeadBefore(stream, tail_);
  handed_over_.store(taken_, std::memory_order_release);
  epoch_.store(stream.created, std::memory_order_release);
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
    taken_ = message.sequence;
    if (catch_up_to_ && message.pending == 0) {
      catch_up_to_ = std::min(*catch_up_to_, taken_);
    }
    absl::StatusOr<Record> record =
        ReadStored(options_.subject_prefix, message.message.subject(), message.message.data());
    spent_.Add(std::move(message.message));
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

bool Delivery::HandOver() {
  if (batch_.empty()) {
    spent_.Free();
  } else {
    if (!handover_.Entries(batch_)) {
      return false;
    }
    batch_.clear();
  }
  if (handed_over_.load(std::memory_order_relaxed) != taken_) {
    handed_over_.store(taken_, std::memory_order_release);
    on_handed_over_(taken_);
  }
  return !catch_up_to_ || taken_ < *catch_up_to_ || CatchUp();
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
