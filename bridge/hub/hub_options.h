#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "bridge/hub/ring.h"

namespace bridge::hub {

// What happens to a stream that is so slow that the history passes it.
enum class SlowClient { kGap, kDisconnect };

// What heartbeats say where streams do not want them as events.
enum class Heartbeats { kTellCursor, kCommentsOnly };

struct HubOptions {
  Ring::Limits history;
  absl::Duration heartbeat = absl::Seconds(15);
  Heartbeats heartbeats = Heartbeats::kTellCursor;
  absl::Duration retry = absl::Seconds(2);
  absl::Duration send_timeout = absl::Seconds(30);
  // Zero for none.
  absl::Duration stream_max_age;
  SlowClient slow_client = SlowClient::kGap;
  uint64_t pinned_bytes_max = uint64_t{64} << 20;
  // What a stream may replay in a second; 0 for no limit.
  uint64_t replay_events_per_second = 0;
  uint64_t replay_bytes_per_second = 0;
  // A record of this type is the last one of its topic: streams of one topic end behind it, without bridge.closing, and
  // replays of them are never cut. Empty for none.
  std::string end_type = {};
  // For tests. Called on any thread.
  std::function<absl::Time()> wall_clock = absl::Now;
};

}  // namespace bridge::hub
