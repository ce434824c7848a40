#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "bridge/log/event_log.h"
#include "bridge/log/jetstream/handover.h"
#include "bridge/log/jetstream/link.h"
#include "bridge/log/jetstream/nats_inbox.h"
#include "bridge/log/jetstream/options.h"
#include "bridge/log/jetstream/pull.h"
#include "bridge/ops/log_limiter.h"

namespace bridge::log::jetstream {

// Hands every record of the stream to the follower, by one consumer for the whole process, and what is ephemeral beside
// it; has a thread for each. After a cut it goes on with the record behind the last one, or tells a gap where that has
// been trimmed; where the stream is another one, or has lost its end, it starts anew with an epoch.
//
// A consumer starts with the message that was taken last, by which it shows that its stream is the one of before: one
// that has lost its end may have grown beyond that by the time that the consumer is made, or while it is used.
//
// While the follower stalls, it asks for no more than it has asked for already; what is ephemeral is dropped then.
class Delivery {
 public:
  // The most entries in a call of the follower.
  static constexpr size_t kEntriesPerCallMax = 1024;

  // `on_handed_over` is told the sequence up to which the follower has been handed everything, on Delivery's thread.
  Delivery(const JetStreamOptions& options, Link* link, std::function<void(uint64_t)> on_handed_over);
  // REQUIRES: the link has ended.
  ~Delivery();
  Delivery(const Delivery&) = delete;
  Delivery& operator=(const Delivery&) = delete;

  void Follow(Follower* follower, const EventLog::Tail& tail) { handover_.Follow(follower, tail); }
  void Resume() { handover_.Resume(); }

  // The sequence up to which the follower has been handed everything of this epoch; 0 for another one's.
  uint64_t handed_over(uint64_t epoch) const;
  // Where the session's stream should have the message that was handed over last, it has another one: it has come back
  // without its end, and has grown beyond that since. UNAVAILABLE: NATS does not say. May block for some seconds.
  absl::StatusOr<bool> HasOtherMessage(const Session& session) const;

 private:
  // What the follower has been handed.
  struct HandedOver {
    uint64_t epoch = 0;
    uint64_t sequence = 0;
    // The last message up to there that has been seen, which may be the one before the first that was handed over;
    // sequence 0 for none.
    uint64_t message_sequence = 0;
    size_t message_hash = 0;
  };
  HandedOver handed_over() const {
    const absl::MutexLock lock(&mutex_);
    return handed_over_;
  }
  void SetHandedOver(const HandedOver& handed_over) {
    const absl::MutexLock lock(&mutex_);
    handed_over_ = handed_over;
  }

  // --- On the thread of what is kept.

  void RunKept();
  // Hands over until the session or the log ends.
  void FollowSession(const std::shared_ptr<Session>& session);
  // Until the consumer is lost.
  void FollowConsumer(Session& session, Pull* pull);
  // Tells of a new epoch, or of a gap, where there is one; false at the end of the log.
  bool Begin(const Session& session);
  bool CatchUp();
  // Takes what has come into `batch_`; false where the consumer is lost, or of another stream than before.
  bool Take(const Session& session, Pull* pull);
  // Looks at a message that stands where everything has been handed over. False where another one stood there.
  bool Recognize(const InPlace& message);
  bool HandOver();
  // Before a message that is not the next one: tells a gap, unless those up to `last_missing` were deleted. False where
  // that cannot be found out, or the log ends.
  bool PassOver(const Session& session, uint64_t last_missing);
  bool TellGap(uint64_t last_missing);

  // --- On the thread of what is ephemeral.

  void RunLive();

  const JetStreamOptions& options_;
  Link* const link_;
  const std::function<void(uint64_t)> on_handed_over_;
  Handover handover_;

  // Written by the thread of what is kept.
  mutable absl::Mutex mutex_;
  HandedOver handed_over_ ABSL_GUARDED_BY(mutex_);

  // Touched by the thread of what is kept only.
  EventLog::Tail tail_;
  // The last message that was taken, which may have been no record; kept until it has been handed over.
  uint64_t taken_ = 0;
  Message last_message_;
  // The follower has caught up when this one has been handed over.
  std::optional<uint64_t> catch_up_to_;
  std::vector<Entry> batch_;
  SpentMessages spent_;
  ops::LogLimiter other_message_lines_{absl::Seconds(10)};

  std::thread kept_thread_;
  std::thread live_thread_;
};

}  // namespace bridge::log::jetstream
