#pragma once

#include <cstdint>
#include <httplib.h>

#include "absl/time/time.h"

#include "bridge/auth/tickets.h"
#include "bridge/base/metric.h"
#include "bridge/http/cors.h"
#include "bridge/http/dispatcher.h"
#include "bridge/http/gate.h"
#include "bridge/http/refusal_metrics.h"

namespace bridge::http {

// Serves POST /tickets: gives the holder of a token a ticket, with which a URL opens one event stream.
//
// Thread-safe: its handlers run on all event loops.
class TicketsHandlers {
 public:
  // `retry` is about when to come again after a passing refusal. What is pointed to outlives it.
  TicketsHandlers(absl::Duration retry, const auth::Tickets* tickets, const Gate* gate, const Cors* cors);

  void AddRoutes(Dispatcher* dispatcher);

  uint64_t made() const { return made_.value(); }
  const RefusalMetrics& refusals() const { return refusals_; }

 private:
  void Serve(const httplib::Request& request, httplib::Response& response);
  void Refuse(const Denial& denial, const httplib::Request& request, httplib::Response* response);

  const absl::Duration retry_;
  const auth::Tickets* const tickets_;
  const Gate* const gate_;
  const Cors* const cors_;
  base::SharedMetric made_;
  RefusalMetrics refusals_;
};

}  // namespace bridge::http
