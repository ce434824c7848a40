#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "bridge/base/clock.h"

namespace bridge::log {

// The type of a call's last record, and of the event that browsers get of it: of the types that are the bridge's own
// the only one that is stored.
inline constexpr absl::string_view kCallEndType = "bridge.end";

// An event as the log stores it. A value; whoever appends it has validated it.
struct Record {
  std::string topic;
  // Empty means "message".
  std::string type;
  // The transcoded payload, UTF-8; lines are not yet split.
  std::string data;
  // The reconnection time that the event sets; absl::ZeroDuration() for none.
  absl::Duration retry;
  // When the bridge accepted it, on the wall clock.
  absl::Time time;
  // Who published it ("" without authentication) and its idempotency key ("" for none): with the topic, the scope of a
  // repeat.
  std::string publisher;
  std::string idempotency_key;
  // What it says about a call (bridge.log.v1.CallRecord, encoded), whose id is then its topic. Only in the log of
  // calls.
  std::string call;
  // Live only: it gets no position and is in no history.
  bool ephemeral = false;
};

// A record with its place in the log.
struct Entry {
  // 0 for an ephemeral record.
  uint64_t sequence = 0;
  Record record;
  // When it was accepted, on this process's monotonic clock: its age and latency count from here. It may lie before the
  // process's start.
  base::MonotonicTime received;
};

}  // namespace bridge::log
