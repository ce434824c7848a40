#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "bridge/log/event_log.h"
#include "bridge/log/jetstream/handover.h"
#include "bridge/log/jetstream/link.h"
#include "bridge/log/jetstream/options.h"
#include "bridge/log/jetstream/pull.h"

namespace bridge::log::jetstream {

// Hands every record of the stream to the follower, by one consumer for the whole process, and what is ephemeral beside
// it; has a thread for each. After a cut it goes on with the record behind the last one; where the stream is another
// one, or has lost its end, it starts anew with an epoch.
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

 private:
  // --- On the thread of what is kept.

  void RunKept();
  // Hands over until the session or the log ends.
  void FollowSession(const std::shared_ptr<Session>& session);
  // Until the consumer is lost.
  void FollowConsumer(Session& session, Pull* pull);
  // Tells of a new epoch where there is one.
  bool Begin(const Session& session);
  bool CatchUp();
  // Takes what has come into `batch_`; false where the consumer is lost.
  bool Take(const Session& session, Pull* pull);
  bool HandOver();

  // --- On the thread of what is ephemeral.

  void RunLive();

  const JetStreamOptions& options_;
  Link* const link_;
  const std::function<void(uint64_t)> on_handed_over_;
  Handover handover_;

  // Written by the thread of what is kept; release and acquire, the epoch after the sequence.
  std::atomic<uint64_t> epoch_{0};
  std::atomic<uint64_t> handed_over_{0};

  // Touched by the thread of what is kept only.
  EventLog::Tail tail_;
  // The last message that was taken, which may have been no record.
  uint64_t taken_ = 0;
  // The follower has caught up when this one has been handed over.
  std::optional<uint64_t> catch_up_to_;
  std::vector<Entry> batch_;
  SpentMessages spent_;

  std::thread kept_thread_;
  std::thread live_thread_;
};

}  // namespace bridge::log::jetstream
