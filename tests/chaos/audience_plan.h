#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace bridge::chaos {

// The topics of a run.
std::vector<std::string> Topics();

// What one event stream of a run does.
struct StreamPlan {
  std::vector<std::string> patterns;
  // Through nginx, or straight to a bridge and to another one each time.
  bool is_behind_front = false;
  // It comes so late, and asks for all that there was.
  absl::Duration starts_after;
  bool replays_all = false;

  // "/events?topic=...".
  std::string target() const;
};

// The same for the same seed and count. Those that come late come before `latest`.
std::vector<StreamPlan> PlanStreams(uint64_t seed, size_t count, absl::Duration latest);

}  // namespace bridge::chaos
