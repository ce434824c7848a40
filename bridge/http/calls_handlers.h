#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <httplib.h>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "bridge/base/metric.h"
#include "bridge/calls/calls.h"
#include "bridge/http/calls_request.h"
#include "bridge/http/client_address.h"
#include "bridge/http/cors.h"
#include "bridge/http/dispatcher.h"
#include "bridge/http/gate.h"
#include "bridge/http/passing_refusal.h"
#include "bridge/http/refusal_metrics.h"
#include "bridge/http/stream_limits.h"
#include "bridge/hub/hub.h"

namespace bridge::http {

// Serves /calls/: a POST to a call's name opens a call, a GET of its id reads the answer, a DELETE cancels it. Answers
// are event streams of the calls' hub of the loop; what Calls has to say first is waited for (DeferredAnswer).
//
// Thread-safe: its handlers run on all event loops.
class CallsHandlers {
 public:
  struct Options {
    CallRules rules;
    size_t body_bytes_max = size_t{256} << 10;
    // The mean time between two heartbeats of the hubs.
    absl::Duration heartbeat = absl::Seconds(15);
  };

  // `hubs` those of calls, by the index of their loop. What is pointed to outlives it; `limits`, which other event
  // streams count in too, outlive `calls`.
  CallsHandlers(Options options, std::vector<hub::Hub*> hubs, calls::Calls* calls, const Gate* gate,
                const ClientAddresses* addresses, const Cors* cors, StreamLimits* limits);

  void AddRoutes(Dispatcher* dispatcher);

  // From now on clients are told to come again, to another replica; calls can still be cancelled.
  void BeginDrain() { is_draining_.store(true, std::memory_order_relaxed); }

  // Answers that have been begun to be read.
  uint64_t opened() const { return opened_.value(); }
  const RefusalMetrics& refusals() const { return refusals_; }

 private:
  // What is kept of a request until Calls has answered.
  struct Asked {
    Client client;
    std::string last_event_id = {};
    // The answer is not read by this request.
    bool is_async = false;
    // None where it is not.
    std::optional<StreamLimits::Place> place = std::nullopt;
  };
  using Outcome = calls::Calls::Outcome;
  using View = calls::Calls::View;
  // Goes on with a request when Calls has answered.
  using Next = void (CallsHandlers::*)(Asked asked, View view, const httplib::Request& request,
                                       httplib::Response* response);

  void Post(const httplib::Request& request, httplib::Response& response);
  void Get(const httplib::Request& request, httplib::Response& response);
  void Delete(const httplib::Request& request, httplib::Response& response);
  void AnswerOpened(Asked asked, View view, const httplib::Request& request, httplib::Response* response);
  void AnswerFound(Asked asked, View view, const httplib::Request& request, httplib::Response* response);
  void AnswerCancelled(Asked asked, View view, const httplib::Request& request, httplib::Response* response);
  void AnswerWithEvents(Asked asked, View view, const httplib::Request& request, httplib::Response* response);

  // The request waits for Calls.
  calls::Calls::Done WhenDone(Asked asked, Next next);

  // These answer the request where they return false or nothing.
  bool IsFromOwnPage(const httplib::Request& request, httplib::Response* response);
  bool MayServe(const httplib::Request& request, httplib::Response* response);
  // Who asks for a call that is there.
  std::optional<Client> IdentifyOwner(const httplib::Request& request, httplib::Response* response);
  // Of a call's id, which stands in the path.
  bool HasCallId(httplib::Response* response);
  bool TakePlace(const httplib::Request& request, Asked* asked, httplib::Response* response);

  void Refuse(const Problem& problem, httplib::Response* response);
  void Refuse(const Denial& denial, const httplib::Request& request, httplib::Response* response);
  void Refuse(PassingRefusal refusal, const httplib::Request& request, httplib::Response* response);
  void Refuse(const calls::Calls::Refusal& refusal, const httplib::Request& request, httplib::Response* response);
  // Of this loop.
  hub::Hub* CurrentHub() const;

  const Options options_;
  const std::vector<hub::Hub*> hubs_;
  calls::Calls* const calls_;
  const Gate* const gate_;
  const ClientAddresses* const addresses_;
  const Cors* const cors_;
  StreamLimits* const limits_;
  std::atomic<bool> is_draining_{false};
  base::SharedMetric opened_;
  RefusalMetrics refusals_;
};

}  // namespace bridge::http
