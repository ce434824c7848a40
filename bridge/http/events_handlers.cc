#include "bridge/http/events_handlers.h"

#include <memory>
#include <utility>
#include <variant>

#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "bridge/http/event_stream.h"
#include "bridge/http/exchange.h"
#include "bridge/http/problem.h"
#include "bridge/ops/logging.h"
#include "bridge/sse/encoder.h"

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
  auto parsed = ParseSubscribeRequest(request, options_.rules);
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
  SetStreamHeaders(response);
  struct Pending {
    SubscribeRequest subscribe;
    hub::StreamTerms terms;
    StreamLimits::Place place;
  };
  const hub::StreamTerms terms = {.wants_heartbeat_events = subscribe.wants_heartbeat_events,
                                  .ends = client.identity->expires};
  // Shared, because the library copies its providers.
  const std::shared_ptr<Pending> pending(new Pending{std::move(subscribe), terms, std::move(place)});
  const auto provide = [this, hub, pending](size_t /*offset*/, httplib::DataSink& sink) {
    hub->loop().AssertOnLoop();
    hub::Hub::Opening opening = hub->Open(pending->subscribe.selection, pending->subscribe.start);
    if (!opening.text.empty()) {
      sink.write(opening.text.data(), opening.text.size());
    }
    opened_.Add(1);
    Exchange::Current().park = [hub, pending, begun = std::move(opening)](ParkedSocket socket) mutable {
      EventStream::Start(std::move(socket), hub, std::move(pending->subscribe.selection), std::move(begun),
                         pending->terms, std::move(pending->place));
    };
    return false;  // the rest of the response is written by the hub
  };
  if (request.version == "HTTP/1.0") {
    Exchange::Current().must_close = true;
    response->set_header("Connection", "close");
    const httplib::ContentProviderWithoutLength provider = provide;
    response->set_content_provider(std::string(sse::kContentType), provider);
  } else {
    response->set_chunked_content_provider(std::string(sse::kContentType), provide);
  }
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
