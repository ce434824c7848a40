#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "bridge/base/metric.h"
#include "bridge/http/client_address.h"
#include "bridge/http/cors.h"
#include "bridge/http/dispatcher.h"
#include "bridge/http/gate.h"
#include "bridge/http/passing_refusal.h"
#include "bridge/http/refusal_metrics.h"
#include "bridge/http/stream_limits.h"
#include "bridge/http/subscribe_request.h"
#include "bridge/hub/hub.h"
#include "bridge/ops/log_limiter.h"

namespace bridge::http {

// Serves /events: checks what is asked for and by whom, opens an event stream on this loop's hub, or says why not.
//
// Thread-safe: its handlers run on all event loops.
class EventsHandlers {
 public:
  struct Options {
    SubscribeRules rules;
    StreamLimits::Options limits;
    // Of what streams ask for, on all loops.
    uint64_t pattern_bytes_max = uint64_t{256} << 20;
  };

  // `hubs` by the index of their loop.
  EventsHandlers(const Options& options, std::vector<hub::Hub*> hubs, const Gate* gate,
                 const ClientAddresses* addresses, const Cors* cors);

  void AddRoutes(Dispatcher* dispatcher);

  // From now on clients are told to come again, to another replica.
  void BeginDrain() { is_draining_.store(true, std::memory_order_relaxed); }

  // Who else opens event streams takes places of the same ones.
  StreamLimits* limits() { return &limits_; }
  uint64_t open_streams() const { return limits_.open(); }
  uint64_t opened() const { return opened_.value(); }
  const RefusalMetrics& refusals() const { return refusals_; }

 private:
  void Serve(const httplib::Request& request, httplib::Response& response);
  // One more stream with this selection takes no memory for its patterns, or there is enough.
  bool HasRoomFor(const hub::Selection& selection, const hub::Hub& hub);
  // What the request asks for is right; by whom is not known yet.
  void Admit(SubscribeRequest subscribe, hub::Hub* hub, const httplib::Request& request, httplib::Response* response);
  void Open(SubscribeRequest subscribe, const Client& client, StreamLimits::Place place, hub::Hub* hub,
            const httplib::Request& request, httplib::Response* response);
  void Deny(const Denial& denial, hub::Hub* hub, const httplib::Request& request, httplib::Response* response);
  void RefusePassing(PassingRefusal refusal, hub::Hub* hub, const httplib::Request& request,
                     httplib::Response* response);

  const Options options_;
  const std::vector<hub::Hub*> hubs_;
  const Gate* const gate_;
  const ClientAddresses* const addresses_;
  const Cors* const cors_;
  std::atomic<bool> is_draining_{false};
  StreamLimits limits_;
  base::SharedMetric opened_;
  RefusalMetrics refusals_;
  ops::LogLimiter log_limiter_;
};

}  // namespace bridge::http
