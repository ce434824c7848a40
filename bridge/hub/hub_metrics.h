#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

#include "bridge/base/metric.h"
#include "bridge/hub/control_events.h"

namespace bridge::hub {

// Why an event stream ended.
enum class EndReason : uint8_t {
  kClientClosed,  // FIN, reset, or the peer is gone
  kStalled,       // no progress for http.send_timeout
  kSlow,          // history passed it, and http.slow_client says disconnect
  kPinned,        // over http.max_pinned_bytes, among the slowest
  kFlood,         // the client sent more than it may on an open stream
  kMaxAge,        // http.stream_max_age
  kTokenExpired,  // its token has ended
  kDraining,      // the bridge stops
  kComplete,      // it has got the last record of its topic
  kEpoch,         // its log has begun anew, and its topic with it
};
inline constexpr size_t kEndReasons = 10;
absl::string_view NameOf(EndReason reason);

// What one hub counts. Written by its loop, read by the scraper.
struct HubMetrics {
  base::Metric streams;
  base::Metric deliveries;
  base::Metric delivered_bytes;
  base::Metric heartbeats;
  base::Metric history_events;
  base::Metric history_bytes;
  base::Metric history_oldest_ms;
  base::Metric pinned_bytes;
  // That the patterns of the streams take, roughly.
  base::Metric pattern_bytes;
  std::array<base::Metric, kGapReasons> gaps;
  std::array<base::Metric, kEndReasons> ends;
  // From the acceptance of an event to the send call that hands it to the socket.
  base::LatencyHistogram latency;
};

}  // namespace bridge::hub
