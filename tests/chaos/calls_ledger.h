#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "tests/support/sse_parser.h"

namespace bridge::chaos {

// An event of an answer: which worker sent it, as which of its attempt.
struct Token {
  std::string worker;
  uint32_t attempt = 0;
  uint64_t index = 0;
};

// The payload that says which token it is.
std::string DataOf(const Token& token);

// The bookkeeping of calls: what was asked, who was given it, and what each reader got. It knows nothing of how the
// bridge does it, and says in the end whether every promise was kept.
//
// Thread-safe.
class CallsLedger {
 public:
  struct Options {
    size_t readers = 1;
    // calls.grace, and how much later the worker of a call that nobody reads has stopped.
    absl::Duration grace = absl::Seconds(15);
    absl::Duration stop_slack = absl::Seconds(6);
  };
  explicit CallsLedger(const Options& options);

  // --- What workers say. A worker is a process: its id is never used again.

  void NoteGiven(const std::string& call_id, uint32_t attempt, const std::string& worker);
  // Before it ends the answer, which is complete with so many events.
  void NoteComplete(const std::string& call_id, uint32_t attempt, uint64_t tokens);
  // It does nothing more for that call.
  void NoteStopped(const std::string& call_id, uint32_t attempt, absl::Time now);
  void NoteDead(const std::string& worker, absl::Time now);

  // --- What readers say. The reader of each index asks once.

  // It reads from now on, after what it had, or all of it again.
  enum class From { kWhereItWas, kBeginning };
  void NoteReads(size_t reader, From from);
  // Control events too.
  void NoteReceived(size_t reader, const test::SseEvent& event);
  // The call's id, where no event tells it.
  void NoteAnswered(size_t reader, const std::string& call_id);
  // It does not want the rest: says so, or closes its tab.
  void NoteCancels(size_t reader);
  void NoteLeft(size_t reader, absl::Time now);
  void NoteReturned(size_t reader, absl::Time now);

  // --- What the run says.

  // Something failed from then on for so long: the bridge may take longer by that.
  void NoteFault(absl::Time begin, absl::Duration lasts);
  // Something else that must not happen did.
  void NoteViolation(std::string violation);

  bool HasEnd(size_t reader) const;
  // What was not as promised, in words; empty where all is well.
  std::vector<std::string> Check(absl::Time now) const;

  struct Totals {
    size_t opened = 0;
    size_t ended = 0;
    size_t attempts = 0;
    size_t received = 0;
    // By the status of the end.
    std::map<std::string, size_t> statuses = {};
  };
  Totals totals() const;

 private:
  struct Attempt {
    std::string worker;
    std::optional<uint64_t> tokens = {};
    std::optional<absl::Time> stopped_at = {};
  };
  struct Call {
    std::map<uint32_t, Attempt> attempts;
    // Data of bridge.end.
    std::string end;
  };
  struct Reader {
    std::string call_id;
    bool cancels = false;
    std::optional<absl::Time> left_at;
    std::optional<absl::Time> returned_at;
    // In this reading of the answer.
    uint64_t next_index = 0;
    uint32_t attempt = 0;
    uint64_t last_sequence = 0;
    bool has_end = false;
    // In any.
    bool had_end = false;
  };

  void SetCall(size_t index, const std::string& call_id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeToken(size_t index, const test::SseEvent& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeEnd(size_t index, const std::string& data) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeId(size_t index, const test::SseEvent& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Complain(std::string violation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string Describe(size_t index) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  // Why the reader's call may not have ended so; empty where it may.
  std::string CheckEnd(const Reader& reader, const Call& call) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  void CheckStops(size_t index, absl::Time now, std::vector<std::string>* violations) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  const Options options_;

  mutable absl::Mutex mutex_;
  absl::flat_hash_map<std::string, Call> calls_ ABSL_GUARDED_BY(mutex_);
  std::vector<Reader> readers_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<std::string> dead_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::pair<absl::Time, absl::Duration>> faults_ ABSL_GUARDED_BY(mutex_);
  size_t received_ ABSL_GUARDED_BY(mutex_) = 0;
  // The first of them, and how many there were.
  std::vector<std::string> violations_ ABSL_GUARDED_BY(mutex_);
  size_t violation_count_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace bridge::chaos
