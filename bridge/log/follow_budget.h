#pragma once

#include <atomic>
#include <cstddef>

#include "bridge/log/event_log.h"

namespace bridge::log {

// What a follower has been handed and has not taken yet, in bytes: over a bound its log stalls, and goes on when half
// of it is left.
//
//   budget.Add(bytes);            // on the log's thread, in OnEntries
//   ...                           // the entries are handed on
//   return budget.Judge();
//
//   if (budget.Take(bytes)) { ... ResumeFollow ... }   // on any thread, when they have been taken
class FollowBudget {
 public:
  static constexpr size_t kBytesMax = size_t{8} << 20;

  void Add(size_t bytes) { pending_.fetch_add(bytes); }

  Follower::Flow Judge() {
    if (pending_.load() <= kBytesMax) {
      return Follower::Flow::kContinue;
    }
    is_stalled_.store(true);
    // They may have been taken in the meantime.
    return pending_.load() <= kBytesMax / 2 && is_stalled_.exchange(false) ? Follower::Flow::kContinue
                                                                           : Follower::Flow::kStall;
  }

  // True where the log has stalled and is to go on.
  bool Take(size_t bytes) { return pending_.fetch_sub(bytes) - bytes <= kBytesMax / 2 && is_stalled_.exchange(false); }

 private:
  std::atomic<size_t> pending_{0};
  // Sequentially consistent, both: either the log's thread sees that bytes were taken, or who takes them sees the
  // stall.
  std::atomic<bool> is_stalled_{false};
};

}  // namespace bridge::log
