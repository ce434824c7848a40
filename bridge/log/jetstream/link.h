#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "bridge/base/clock.h"
#include "bridge/log/event_log.h"
#include "bridge/log/jetstream/session.h"
#include "bridge/ops/log_limiter.h"

namespace bridge::log::jetstream {

// What the parts of the log know of the store, and what they count. Thread-safe.
class Link {
 public:
  // The session, also while the store does not answer for a moment; none where it is away for longer.
  std::shared_ptr<Session> session() const;
  // The session if the store answers, else UNAVAILABLE and why.
  absl::StatusOr<std::shared_ptr<Session>> UsableSession() const;
  absl::Status status() const;

  // Waits for a session other than `last`; none at the end.
  std::shared_ptr<Session> AwaitSession(const std::shared_ptr<Session>& last) const;
  // Waits until the end, at most this long; true at the end.
  bool AwaitEnd(absl::Duration timeout) const;

  // A session has begun, or the store answers again.
  void SetThere(std::shared_ptr<Session> session);
  // The store does not answer, for now.
  void SetSilent(const absl::Status& why);
  // There is no session any more.
  void SetAway(const absl::Status& why);
  // Ends the session and all waiting, for good.
  void End();

  // What was last heard of the stream.
  void NoteStream(const StreamInfo& stream);
  // The same, where it is younger than this and as new as anything that is known of the session's records.
  std::optional<StreamInfo> KnownStream(const Session& session, absl::Duration age_max) const;

  // Counted by the parts.
  struct Counters {
    // Relaxed, all: they order nothing else.
    std::atomic<uint64_t> append_failures{0};
    std::atomic<uint64_t> disconnects{0};
    std::atomic<uint64_t> unreadable_records{0};
  };
  Counters& counters() { return counters_; }
  EventLog::Stats stats() const;

  // Counts a message that is no record, and says so now and then.
  void NoteUnreadable(uint64_t sequence, const absl::Status& why);

 private:
  mutable absl::Mutex mutex_;
  bool is_ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<Session> session_ ABSL_GUARDED_BY(mutex_);
  absl::Status status_ ABSL_GUARDED_BY(mutex_) = absl::UnavailableError("NATS has not been reached yet");
  std::optional<StreamInfo> stream_ ABSL_GUARDED_BY(mutex_);
  base::MonotonicTime stream_at_ ABSL_GUARDED_BY(mutex_);
  Counters counters_;
  ops::LogLimiter unreadable_lines_{absl::Seconds(10)};
};

}  // namespace bridge::log::jetstream
