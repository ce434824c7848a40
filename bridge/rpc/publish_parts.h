#pragma once

#include "bridge/log/event_log.h"
#include "bridge/rpc/in_flight_budget.h"
#include "bridge/rpc/intake.h"
#include "bridge/rpc/rpc_metrics.h"

namespace bridge::rpc {

// What a publisher's call works with; outlives it.
struct PublishParts {
  const Intake* intake;
  log::EventLog* log;
  InFlightBudget* budget;
  RpcMetrics* metrics;
};

}  // namespace bridge::rpc
