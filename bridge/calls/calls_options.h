#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"

#include "bridge/topic/pattern.h"

namespace bridge::calls {

// How calls are made and answered: the configuration's `calls`, and what the log is like.
struct CallsOptions {
  // Those that can be called; all where empty.
  std::vector<topic::Pattern> names = {};
  absl::Duration grace = absl::Seconds(15);
  absl::Duration max_duration = absl::Minutes(10);
  absl::Duration history = absl::Minutes(10);
  absl::Duration queue_timeout = absl::Seconds(5);
  size_t queue_max = 1000;
  absl::Duration first_event_timeout = absl::Seconds(60);
  absl::Duration idle_timeout = absl::Seconds(60);
  absl::Duration cancel_timeout = absl::Seconds(5);
  absl::Duration worker_grace = absl::Seconds(10);
  uint32_t attempts_max = 2;
  uint64_t answer_bytes_max = uint64_t{8} << 20;
  size_t open_max = 10'000;
  uint64_t bytes_in_flight_max = uint64_t{64} << 20;
  size_t readers_per_call = 10;
  // 0 for no limit.
  size_t calls_per_subject = 20;
  size_t calls_per_address = 100;
  uint64_t log_bytes_max = uint64_t{512} << 20;
  // The log outlives the process: a drain ends no call.
  bool is_log_durable = false;
  // Other replicas may follow the same log.
  bool has_replicas = false;
};

}  // namespace bridge::calls
