#include "bridge/http/events_handlers.h"

#include <utility>
#include <variant>

#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "bridge/http/exchange.h"
#include "bridge/http/problem.h"
#include "bridge/http/stream_response.h"
#include "bridge/ops/logging.h"

namespace bridge::http {
namespace {

constexpr const char* kPath = "/events";
constexpr absl::string_view kMethods = "GET, HEAD, POST, OPTIONS";

constexpr absl::Duration kLogWindow = absl::Seconds(10);

}  // namespace

EventsHandlers::EventsHandlers(const Options& options, std::vector<hub::Hub*> hubs, const Gate* gate,
                               const ClientAddresses* addresses, const Cors* cors)
    : options_(options),
      hubs_(std::move(hubs)),
      gate_(gate),
      addresses_(addresses),
      cors_(cors),
      limits_(options.limits),
      log_limiter_(kLogWindow) {}

void EventsHandlers::AddRoutes(Dispatcher* dispatcher) {
  const auto serve = [this](const httplib::Request& request, httplib::Response& response) { Serve(request, response); };
  dispatcher->Route("GET", kPath, serve);
  dispatcher->Route("POST", kPath, serve);
  dispatcher->Route("OPTIONS", kPath, [this](const httplib::Request& request, httplib::Response& response) {
    cors_->AnswerPreflight(request, kMethods, &response);
  });
}

void EventsHandlers::Serve(const httplib::Request& request, httplib::Response& response) {
  auto parsed = ParseSubscribeRequest(request, *Exchange::Current().body, options_.rules);
  if (const auto* problem = std::get_if<Problem>(&parsed)) {
    refusals_.bad_request.Add(1);
    SetProblem(*problem, &response);
    return;
  }
  hub::Hub* const hub = hubs_[Exchange::Current().loop_index];
  hub->loop().AssertOnLoop();
  if (!hub->is_ready()) {
    RefusePassing(PassingRefusal::kStarting, hub, request, &response);
  } else if (is_draining_.load(std::memory_order_relaxed)) {
    RefusePassing(PassingRefusal::kDraining, hub, request, &response);
  } else if (limits_.IsFull() || !HasRoomFor(std::get<SubscribeRequest>(parsed).selection, *hub)) {
    RefusePassing(PassingRefusal::kOverloaded, hub, request, &response);
  } else {
    Admit(std::get<SubscribeRequest>(std::move(parsed)), hub, request, &response);
  }
}

bool EventsHandlers::HasRoomFor(const hub::Selection& selection, const hub::Hub& hub) {
  hub.loop().AssertOnLoop();
  uint64_t bytes = 0;
  for (const hub::Hub* each : hubs_) {
    bytes += each->metrics().pattern_bytes.value();
  }
  if (bytes < options_.pattern_bytes_max) {
    return true;
  }
  hub::Selection normalized = selection;
  normalized.Normalize();
  if (hub.HasAudience(normalized)) {
    return true;
  }
  if (const auto suppressed = log_limiter_.Admit()) {
    ops::LogWarn("limit_reached", {{"limit", "limits.pattern_bytes"}, {"suppressed", *suppressed}});
  }
  return false;
}

void EventsHandlers::Admit(SubscribeRequest subscribe, hub::Hub* hub, const httplib::Request& request,
                           httplib::Response* response) {
  const absl::Time now = absl::Now();
  const auto identified = gate_->Identify(request, now);
  if (const auto* denial = std::get_if<Denial>(&identified)) {
    Deny(*denial, hub, request, response);
    return;
  }
  const auto& client = std::get<Client>(identified);
  auto denial =
      gate_->CheckPatterns(client, subscribe.selection.patterns, request.method == "POST" ? "topics" : "topic");
  if (denial.has_value()) {
    Deny(*denial, hub, request, response);
    return;
  }
  auto taken =
      limits_.Take(addresses_->Find(Exchange::Current().peer, *Exchange::Current().head), client.identity->subject);
  if (const auto* refusal = std::get_if<PassingRefusal>(&taken)) {
    RefusePassing(*refusal, hub, request, response);
    return;
  }
  // Last, for it uses a ticket up.
  if (request.method != "HEAD") {
    denial = gate_->Enter(client, now);
  }
  if (denial.has_value()) {
    Deny(*denial, hub, request, response);
  } else {
    Open(std::move(subscribe), client, std::get<StreamLimits::Place>(std::move(taken)), hub, request, response);
  }
}

void EventsHandlers::Open(SubscribeRequest subscribe, const Client& client, StreamLimits::Place place, hub::Hub* hub,
                          const httplib::Request& request, httplib::Response* response) {
  AnswerWithStream(
      {.hub = hub,
       .selection = std::move(subscribe.selection),
       .start = std::move(subscribe.start),
       .terms = {.wants_heartbeat_events = subscribe.wants_heartbeat_events, .ends = client.identity->expires},
       .place = std::move(place),
       .opened = &opened_},
      request, response);
}

void EventsHandlers::Deny(const Denial& denial, hub::Hub* hub, const httplib::Request& request,
                          httplib::Response* response) {
  if (denial.passing.has_value()) {
    RefusePassing(*denial.passing, hub, request, response);
    return;
  }
  refusals_.Add(denial);
  SetDenial(denial, response);
}

void EventsHandlers::RefusePassing(PassingRefusal refusal, hub::Hub* hub, const httplib::Request& request,
                                   httplib::Response* response) {
  hub->loop().AssertOnLoop();
  refusals_.Add(refusal);
  AnswerPassing(refusal, hub->JitteredRetry(), request, response);
}

}  // namespace bridge::http
