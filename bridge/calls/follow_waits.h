#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "bridge/log/event_log.h"
#include "bridge/log/position.h"

namespace bridge::calls {

// What waits for this replica to have followed its log up to somewhere: to a position, or to where the log ends, for
// which the log has to be asked.
//
// However many wait for the latter, one question is on its way to the log. Those that come meanwhile share the next
// one, for what they have heard of may be newer than the answer to that.
//
// Lives on the loop of Calls.
class FollowWaits {
 public:
  // Is given OK when it has been followed, else why that cannot be.
  using Task = absl::AnyInvocable<void(const absl::Status&)>;
  // Asks the log for its bounds. They are given to OnBounds once, then or later.
  using Ask = absl::AnyInvocable<void()>;

  explicit FollowWaits(Ask ask) : ask_(std::move(ask)) {}

  // In all of these, tasks may be called before the call returns, and may call this again. `followed` is how far the
  // log has been followed.

  // Everything that the log holds now.
  void AwaitHead(Task task);
  void OnBounds(const absl::StatusOr<log::Bounds>& bounds, log::Position followed);
  // A position of another epoch is not waited for.
  void AwaitFollowed(log::Position position, log::Position followed, Task task);
  void OnFollowed(uint64_t sequence);

  // Sequences begin anew: what waits for one of before would wait for ever, and does not after the next OnFollowed.
  void OnEpoch();
  // Nothing is followed for a while: fails what waits for that.
  void Fail(const absl::Status& why);

 private:
  struct Wait {
    // The sequence that has to be followed first.
    uint64_t awaited;
    Task task;
  };

  void AskForWaiting();

  Ask ask_;
  bool is_asking_ = false;
  // For whom the log is being asked, and those that have come since.
  std::vector<Task> asked_for_;
  std::vector<Task> waiting_;
  std::vector<Wait> waits_;
};

}  // namespace bridge::calls
