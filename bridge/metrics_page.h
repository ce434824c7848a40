#pragma once

#include <string>
#include <vector>

#include "bridge/calls/calls_metrics.h"
#include "bridge/http/connection.h"
#include "bridge/http/events_handlers.h"
#include "bridge/http/refusal_metrics.h"
#include "bridge/http/tickets_handlers.h"
#include "bridge/http/tls_handshakes.h"
#include "bridge/hub/hub_metrics.h"
#include "bridge/log/event_log.h"
#include "bridge/loop/event_loop.h"
#include "bridge/rpc/connection_guard.h"
#include "bridge/rpc/rate_limiter.h"
#include "bridge/rpc/rpc_metrics.h"

namespace bridge {

// Where the figures come from.
struct MetricsSources {
  const http::EventsHandlers* events;
  // nullptr where there are no tickets.
  const http::TicketsHandlers* tickets;
  const http::ConnectionMetrics* connections;
  // nullptr without TLS.
  const http::TlsHandshakes* handshakes;
  const rpc::RpcMetrics* rpc;
  const rpc::RateLimiter* rates;
  const rpc::ConnectionGuard* grpc_connections;
  const log::EventLog* log;
  const calls::CallsMetrics* calls;
  const http::RefusalMetrics* call_refusals;
  // By the index of their event loop.
  std::vector<const hub::HubMetrics*> hubs;
  std::vector<loop::LoopLag*> lags;
};

// All metrics in Prometheus's text format. The longest turns of the loops count from one call to the next.
std::string MetricsPage(const MetricsSources& sources);

}  // namespace bridge
