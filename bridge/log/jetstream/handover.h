#pragma once

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"

#include "bridge/log/event_log.h"

namespace bridge::log::jetstream {

// Calls the follower: one call at a time, none in a stall, and none before its first epoch but that. Each call waits
// for its turn, and answers false where the log ends before.
//
// Thread-safe.
class Handover {
 public:
  // REQUIRES: called once.
  void Follow(Follower* follower, const EventLog::Tail& tail);
  // Ends a stall.
  void Resume();
  // Ends all waiting, for good.
  void End();

  // What the follower wants of what is there; waits until there is a follower.
  bool AwaitTail(EventLog::Tail* tail);

  bool Epoch(uint64_t epoch, uint64_t head);
  bool CaughtUp();
  bool Gap(uint64_t head, Follower::Missing why);
  bool Entries(absl::Span<const Entry> entries);

 private:
  enum class Needs { kNothing, kEpoch };
  // Waits until nobody calls the follower and it does not stall, and takes the turn; none at the end.
  Follower* TakeTurn(Needs needs);
  void EndTurn(Follower::Flow flow);

  absl::Mutex mutex_;
  bool is_ending_ ABSL_GUARDED_BY(mutex_) = false;
  Follower* follower_ ABSL_GUARDED_BY(mutex_) = nullptr;
  EventLog::Tail tail_ ABSL_GUARDED_BY(mutex_);
  bool has_epoch_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_calling_ ABSL_GUARDED_BY(mutex_) = false;
  // Also while the follower is being called, so that a Resume in the meantime counts.
  bool is_stalled_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace bridge::log::jetstream
