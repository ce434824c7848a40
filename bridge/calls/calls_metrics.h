#pragma once

#include <array>

#include "bridge/base/metric.h"
#include "bridge/calls/call_types.h"

namespace bridge::calls {

// What a replica counts of the calls that it knows; written on the loop of Calls, read by anyone.
struct CallsMetrics {
  // Not ended, and those of them that wait for a worker.
  base::Metric open;
  base::Metric queued;
  // Publishers that serve calls here.
  base::Metric workers;
  // Opened by this replica's clients.
  base::Metric opened;
  // Ended, as the log says.
  std::array<base::Metric, kEndStatuses> ends;
  // Events of answers.
  base::Metric events;
  // What the log of calls holds, as far as it counts for calls.log.max_bytes.
  base::Metric log_bytes;
  // From the POST to the hand-over to a worker, and to the first event; of calls that this replica has claimed.
  base::LatencyHistogram queue_wait;
  base::LatencyHistogram first_event;
};

}  // namespace bridge::calls
