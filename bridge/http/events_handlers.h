#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "bridge/base/metric.h"
#include "bridge/http/cors.h"
#include "bridge/http/dispatcher.h"
#include "bridge/http/gate.h"
#include "bridge/http/passing_refusal.h"
#include "bridge/http/subscribe_request.h"
#include "bridge/hub/hub.h"

namespace bridge::http {

// Serves /events: checks what is asked for and by whom, opens an event stream on this loop's hub, or says why not.
//
// Thread-safe: its handlers run on all event loops.
class EventsHandlers {
 public:
  struct Options {
    SubscribeRules rules;
    uint64_t streams_max = 1000;
  };

  // `hubs` by the index of their loop.
  EventsHandlers(const Options& options, std::vector<hub::Hub*> hubs, const Gate* gate, const Cors* cors);

  void AddRoutes(Dispatcher* dispatcher);

  // From now on clients are told to come again, to another replica.
  void BeginDrain() { is_draining_.store(true, std::memory_order_relaxed); }

  uint64_t open_streams() const { return open_.value(); }
  uint64_t opened() const { return opened_.value(); }
  uint64_t bad_requests() const { return bad_requests_.value(); }
  uint64_t unauthenticated() const { return unauthenticated_.value(); }
  uint64_t forbidden() const { return forbidden_.value(); }
  uint64_t refused(PassingRefusal refusal) const { return refused_[static_cast<size_t>(refusal)].value(); }

 private:
  void Serve(const httplib::Request& request, httplib::Response& response);
  // What the request asks for is right; by whom is not known yet.
  void Admit(SubscribeRequest subscribe, hub::Hub* hub, const httplib::Request& request, httplib::Response* response);
  void Open(SubscribeRequest subscribe, hub::Hub* hub, const httplib::Request& request, httplib::Response* response);
  void Deny(const Denial& denial, hub::Hub* hub, const httplib::Request& request, httplib::Response* response);
  void RefusePassing(PassingRefusal refusal, hub::Hub* hub, const httplib::Request& request,
                     httplib::Response* response);

  const Options options_;
  const std::vector<hub::Hub*> hubs_;
  const Gate* const gate_;
  const Cors* const cors_;
  std::atomic<bool> is_draining_{false};
  base::SharedMetric open_;
  base::SharedMetric opened_;
  base::SharedMetric bad_requests_;
  base::SharedMetric unauthenticated_;
  base::SharedMetric forbidden_;
  std::array<base::SharedMetric, kPassingRefusals> refused_;
};

}  // namespace bridge::http
