#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace bridge::calls {

// Why events of answers were not taken, each to be told when what stands before it has been followed: its CallAck then
// names the event that is meant. Not thread-safe.
class Rejections {
 public:
  // Of the event `index`; the newest of a call counts.
  void Put(absl::string_view call_id, uint64_t index, absl::Status why) {
    rejections_[call_id] = {.index = index, .why = std::move(why)};
  }
  // Takes out the one that is to be told when the answer has been followed up to `next_index`.
  std::optional<absl::Status> Take(absl::string_view call_id, uint64_t next_index) {
    if (rejections_.empty()) {
      return std::nullopt;  // nearly always: it is asked for each event
    }
    const auto found = rejections_.find(call_id);
    if (found == rejections_.end() || found->second.index > next_index) {
      return std::nullopt;
    }
    return std::move(rejections_.extract(found).mapped().why);
  }
  void Erase(absl::string_view call_id) { rejections_.erase(call_id); }
  void Clear() { rejections_.clear(); }

 private:
  struct Rejection {
    uint64_t index = 0;
    absl::Status why;
  };
  absl::flat_hash_map<std::string, Rejection> rejections_;
};

}  // namespace bridge::calls
