#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"

#include "bridge/log/event_log.h"

namespace bridge::test {

// A follower that keeps all that it is handed, and notes where a log breaks the rules. Thread-safe.
class RecordingFollower final : public log::Follower {
 public:
  // Stalls with the entry that makes it so many, and after that at each call, until StallAt is called again. For the
  // log to go on it takes EventLog::ResumeFollow then.
  void StallAt(size_t entries);
  // No more stalls, and the one that there is ends: REQUIRES what NoteResume does.
  void NeverStall() {
    StallAt(std::numeric_limits<size_t>::max());
    NoteResume();
  }

  // Waits until it has as many; false where that takes too long.
  bool WaitForEntries(size_t count) const;
  bool WaitForEpoch() const;
  // Until the log has handed over what it held when it was followed.
  bool WaitUntilCaughtUp() const;

  std::vector<log::Entry> entries() const;
  size_t size() const;
  uint64_t epoch() const;
  // How many times it has been told one.
  size_t epochs() const;
  // The heads of the gaps that it has been told.
  std::vector<uint64_t> gaps() const;
  size_t largest_call() const;
  // Calls that overlap, that come before OnEpoch, in a stall or a second time, that are empty, and sequences that do
  // not grow.
  std::vector<std::string> violations() const;

  // REQUIRES: called together with EventLog::ResumeFollow, before it.
  void NoteResume();

  void OnEpoch(uint64_t epoch, uint64_t head) override;
  void OnCaughtUp() override;
  void OnGap(uint64_t head, Missing why) override;
  Flow OnEntries(absl::Span<const log::Entry> entries) override;

 private:
  void CheckCall(absl::Span<const log::Entry> entries) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  size_t stall_at_ ABSL_GUARDED_BY(mutex_) = std::numeric_limits<size_t>::max();
  bool is_stalled_ ABSL_GUARDED_BY(mutex_) = false;
  bool has_epoch_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_caught_up_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t epoch_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t epochs_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t last_sequence_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t largest_call_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<uint64_t> gaps_ ABSL_GUARDED_BY(mutex_);
  std::vector<log::Entry> entries_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> violations_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bridge::test
