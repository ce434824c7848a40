#pragma once

#include <memory>

#include "bridge/calls/calls.h"
#include "bridge/log/event_log.h"
#include "bridge/rpc/connection_guard.h"
#include "bridge/rpc/in_flight_budget.h"
#include "bridge/rpc/intake.h"
#include "bridge/rpc/publisher_identity.h"
#include "bridge/rpc/rate_limiter.h"
#include "bridge/rpc/rpc_metrics.h"

namespace bridge::rpc {

// What a publisher's call works with. What is pointed to outlives it.
struct PublishParts {
  std::shared_ptr<ConnectionGuard::Call> call;
  std::shared_ptr<const PublisherIdentity> identity;
  // nullptr where there is no limit.
  std::shared_ptr<RateLimiter::Allowance> allowance;
  const Intake* intake;
  log::EventLog* log;
  // nullptr where calls are not served.
  calls::Calls* calls;
  InFlightBudget* budget;
  RateLimiter* limiter;
  RpcMetrics* metrics;
};

}  // namespace bridge::rpc
