#include "bridge/calls/replicas.h"

#include <algorithm>

namespace bridge::calls {

void Replicas::Note(const log::v1::ReplicaPresence& presence, base::MonotonicTime now) {
  if (presence.leaves()) {
    replicas_.erase(presence.replica());
    return;
  }
  replicas_[presence.replica()] = {.heard_at = now,
                                   .is_known = true,
                                   .names = {presence.names().begin(), presence.names().end()},
                                   .read_calls = {presence.read_calls().begin(), presence.read_calls().end()}};
}

bool Replicas::DropSilent(base::MonotonicTime now) {
  return absl::erase_if(replicas_, [now](const auto& each) { return now - each.second.heard_at > kSilenceMax; }) > 0;
}

bool Replicas::IsKnown(absl::string_view replica) const {
  const auto found = replicas_.find(replica);
  return found != replicas_.end() && found->second.is_known;
}

bool Replicas::HasWorkerFor(absl::string_view name) const {
  return std::ranges::any_of(replicas_, [name](const auto& each) { return each.second.names.contains(name); });
}

bool Replicas::HasReadersOf(absl::string_view call_id) const {
  return std::ranges::any_of(replicas_,
                             [call_id](const auto& each) { return each.second.read_calls.contains(call_id); });
}

absl::flat_hash_set<std::string> Replicas::ReadBy(absl::string_view replica) const {
  const auto found = replicas_.find(replica);
  return found == replicas_.end() ? absl::flat_hash_set<std::string>() : found->second.read_calls;
}

}  // namespace bridge::calls
