#pragma once

#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"

#include "bridge/base/clock.h"
#include "bridge/log/v1/call.pb.h"

namespace bridge::calls {

// What the other replicas say of themselves, each second. One that has been silent for kSilenceMax is taken to be gone.
// Lives on the loop of Calls.
class Replicas {
 public:
  static constexpr base::MonotonicClock::duration kSilenceMax = std::chrono::seconds(3);

  // It has written a record.
  void Hear(const std::string& replica, base::MonotonicTime now) { replicas_[replica].heard_at = now; }
  void Note(const log::v1::ReplicaPresence& presence, base::MonotonicTime now);
  // Forgets those that are gone; true where there was one.
  bool DropSilent(base::MonotonicTime now);

  bool empty() const { return replicas_.empty(); }
  bool IsThere(absl::string_view replica) const { return replicas_.contains(replica); }
  // It has said what it serves.
  bool IsKnown(absl::string_view replica) const;
  // One of them has a worker for the name.
  bool HasWorkerFor(absl::string_view name) const;
  bool HasReadersOf(absl::string_view call_id) const;
  absl::flat_hash_set<std::string> ReadBy(absl::string_view replica) const;

 private:
  struct Replica {
    base::MonotonicTime heard_at;
    bool is_known = false;
    absl::flat_hash_set<std::string> names;
    absl::flat_hash_set<std::string> read_calls;
  };

  absl::flat_hash_map<std::string, Replica> replicas_;
};

}  // namespace bridge::calls
