#include "bridge/log/jetstream/link.h"

#include <utility>

#include "bridge/ops/logging.h"

namespace bridge::log::jetstream {

std::shared_ptr<Session> Link::session() const {
  const absl::MutexLock lock(&mutex_);
  return session_;
}

absl::StatusOr<std::shared_ptr<Session>> Link::UsableSession() const {
  const absl::MutexLock lock(&mutex_);
  if (!status_.ok()) {
    return status_;
  }
  return session_;
}

absl::Status Link::status() const {
  const absl::MutexLock lock(&mutex_);
  return status_;
}

std::shared_ptr<Session> Link::AwaitSession(const std::shared_ptr<Session>& last) const {
  const absl::MutexLock lock(&mutex_);
  const auto has_next = [this, &last]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return is_ending_ || (session_ != nullptr && session_ != last);
  };
  mutex_.Await(absl::Condition(&has_next));
  return is_ending_ ? nullptr : session_;
}

bool Link::AwaitEnd(absl::Duration timeout) const {
  const absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(&is_ending_), timeout);
}

void Link::SetThere(std::shared_ptr<Session> session) {
  const absl::MutexLock lock(&mutex_);
  if (!is_ending_) {
    session_ = std::move(session);
    status_ = absl::OkStatus();
  }
}

void Link::SetSilent(const absl::Status& why) {
  const absl::MutexLock lock(&mutex_);
  if (!is_ending_) {
    status_ = absl::UnavailableError(why.message());
  }
}

void Link::SetAway(const absl::Status& why) {
  std::shared_ptr<Session> session;  // ends outside of the lock
  const absl::MutexLock lock(&mutex_);
  session_.swap(session);
  if (!is_ending_) {
    status_ = absl::UnavailableError(why.message());
  }
}

void Link::End() {
  std::shared_ptr<Session> session;
  {
    const absl::MutexLock lock(&mutex_);
    is_ending_ = true;
    status_ = absl::UnavailableError("the log is ending");
    session = session_;
  }
  if (session != nullptr) {
    session->connection().Close();
  }
}

void Link::NoteStream(const StreamInfo& stream) {
  const absl::MutexLock lock(&mutex_);
  stream_ = stream;
  stream_at_ = base::MonotonicClock::now();
}

std::optional<StreamInfo> Link::KnownStream(const Session& session, absl::Duration age_max) const {
  const absl::MutexLock lock(&mutex_);
  const bool is_good = stream_ && stream_->created == session.epoch() && stream_->last >= session.newest() &&
                       absl::FromChrono(base::MonotonicClock::now() - stream_at_) <= age_max;
  return is_good ? stream_ : std::nullopt;
}

EventLog::Stats Link::stats() const {
  const absl::MutexLock lock(&mutex_);
  return {.append_failures = counters_.append_failures.load(std::memory_order_relaxed),
          .disconnects = counters_.disconnects.load(std::memory_order_relaxed),
          .unreadable_records = counters_.unreadable_records.load(std::memory_order_relaxed),
          .store_bytes = stream_ ? stream_->bytes : 0,
          .store_events = stream_ ? stream_->messages : 0};
}

void Link::NoteUnreadable(uint64_t sequence, const absl::Status& why) {
  counters_.unreadable_records.fetch_add(1, std::memory_order_relaxed);
  if (const auto suppressed = unreadable_lines_.Admit()) {
    ops::LogWarn("record_unreadable", {{"sequence", sequence}, {"error", why.message()}, {"suppressed", *suppressed}});
  }
}

}  // namespace bridge::log::jetstream
