#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

#include "bridge/base/clock.h"
#include "bridge/log/event_log.h"

namespace bridge::log {

// What waits for the one thread of a log: appends and questions in the order of their arrival, the follower, the end.
//
// Thread-safe, but for what is the log's thread's only.
class Inbox {
 public:
  // An Append.
  struct Request {
    std::vector<Record> records;
    uint64_t failures_seen = 0;
    EventLog::AppendCallback done;
    base::MonotonicTime received;
    // Of the records that have been placed so far.
    std::vector<Appended> appended;
  };

  // Something to be answered on the log's thread: called with OK when it is its turn, or with why there is no answer.
  using Question = absl::AnyInvocable<void(const absl::Status&)>;

  Inbox() = default;
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  // Both answer at once after End.
  void Append(Request request);
  void Ask(Question question);

  void Follow(Follower* follower);
  void ResumeFollow();

  // Something has happened that the log's thread should look at.
  void Wake();

  // From now on Await returns nullopt.
  void End();

  // --- On the log's thread.

  struct Needs {
    // What waits, unless the follower stalls; null for none.
    std::vector<Request>* requests = nullptr;
    // There is something to do anyway, unless the follower stalls.
    bool has_work = false;
    absl::Duration wait_max = absl::InfiniteDuration();
  };
  struct Round {
    // Set in the first round that has a follower.
    Follower* new_follower = nullptr;
    bool is_stalled = false;
    std::vector<Question> questions;
  };
  // Waits until there is something to do, for at most `wait_max`; nullopt when the log ends. REQUIRES: `requests` is
  // empty.
  std::optional<Round> Await(const Needs& needs);

  // Hands `entries` to the follower, if there is one. REQUIRES: it does not stall.
  void HandOver(absl::Span<const Entry> entries);

  // All requests that wait, and all questions.
  std::vector<Request> TakeRequests();
  std::deque<Question> TakeQuestions();

  // Why nothing is done any more.
  static absl::Status EndingError();

 private:
  absl::Mutex mutex_;
  bool is_ending_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_woken_ ABSL_GUARDED_BY(mutex_) = false;
  Follower* follower_ ABSL_GUARDED_BY(mutex_) = nullptr;
  // Also while the follower is being called, so that a ResumeFollow in the meantime counts.
  bool is_stalled_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Request> requests_ ABSL_GUARDED_BY(mutex_);
  std::deque<Question> questions_ ABSL_GUARDED_BY(mutex_);

  // Touched by the log's thread only.
  Follower* told_follower_ = nullptr;
};

}  // namespace bridge::log
