#include "bridge/http/events_handlers.h"

#include <cmath>
#include <memory>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "bridge/http/event_stream.h"
#include "bridge/http/exchange.h"
#include "bridge/http/problem.h"
#include "bridge/hub/control_events.h"
#include "bridge/sse/encoder.h"

namespace bridge::http {
namespace {

constexpr const char* kPath = "/events";
constexpr absl::string_view kMethods = "GET, HEAD, POST, OPTIONS";

void SetStreamHeaders(httplib::Response* response) {
  response->set_header("Cache-Control", "no-cache, no-transform");
  response->set_header("X-Accel-Buffering", "no");  // nginx and others that follow it: do not buffer
}

std::string DetailOf(PassingRefusal refusal) {
  switch (refusal) {
    case PassingRefusal::kStarting:
      return "the bridge has not caught up with its log yet; ask again later";
    case PassingRefusal::kDraining:
      return "the bridge is about to stop; ask again, another replica will answer";
    case PassingRefusal::kOverloaded:
      return "the bridge serves as many event streams as it may (http.max_event_streams); ask again later";
  }
  return "ask again later";
}

}  // namespace

absl::string_view NameOf(PassingRefusal refusal) {
  switch (refusal) {
    case PassingRefusal::kStarting:
      return "starting";
    case PassingRefusal::kDraining:
      return "draining";
    case PassingRefusal::kOverloaded:
      return "overloaded";
  }
  return "unknown";
}

EventsHandlers::EventsHandlers(const Options& options, std::vector<hub::Hub*> hubs, const Cors* cors)
    : options_(options), hubs_(std::move(hubs)), cors_(cors) {}

void EventsHandlers::AddRoutes(Dispatcher* dispatcher) {
  const auto serve = [this](const httplib::Request& request, httplib::Response& response) { Serve(request, response); };
  dispatcher->Route("GET", kPath, serve);
  dispatcher->Route("POST", kPath, serve);
  dispatcher->Route("OPTIONS", kPath, [this](const httplib::Request& request, httplib::Response& response) {
    cors_->AnswerPreflight(request, kMethods, &response);
  });
}

void EventsHandlers::Serve(const httplib::Request& request, httplib::Response& response) {
  auto parsed = ParseSubscribeRequest(request, options_.limits);
  if (const auto* problem = std::get_if<Problem>(&parsed)) {
    bad_requests_.Add(1);
    SetProblem(*problem, &response);
    return;
  }
  hub::Hub* const hub = hubs_[Exchange::Current().loop_index];
  hub->loop().AssertOnLoop();
  if (!hub->is_ready()) {
    RefusePassing(PassingRefusal::kStarting, hub, request, &response);
  } else if (is_draining_.load(std::memory_order_relaxed)) {
    RefusePassing(PassingRefusal::kDraining, hub, request, &response);
  } else if (open_.value() >= options_.streams_max) {
    RefusePassing(PassingRefusal::kOverloaded, hub, request, &response);
  } else {
    Open(std::get<SubscribeRequest>(std::move(parsed)), hub, request, &response);
  }
}

void EventsHandlers::Open(SubscribeRequest subscribe, hub::Hub* hub, const httplib::Request& request,
                          httplib::Response* response) {
  SetStreamHeaders(response);
  // Shared, because the library copies its providers.
  const auto pending = std::make_shared<SubscribeRequest>(std::move(subscribe));
  const auto provide = [this, hub, pending](size_t /*offset*/, httplib::DataSink& sink) {
    hub->loop().AssertOnLoop();
    hub::Hub::Opening opening = hub->Open(pending->selection, pending->start);
    if (!opening.text.empty()) {
      sink.write(opening.text.data(), opening.text.size());
    }
    opened_.Add(1);
    Exchange::Current().park = [this, hub, pending, begun = std::move(opening)](ParkedSocket socket) mutable {
      EventStream::Start(std::move(socket), hub, std::move(pending->selection), std::move(begun),
                         pending->wants_heartbeat_events, &open_);
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

void EventsHandlers::RefusePassing(PassingRefusal refusal, hub::Hub* hub, const httplib::Request& request,
                                   httplib::Response* response) {
  hub->loop().AssertOnLoop();
  refused_[static_cast<size_t>(refusal)].Add(1);
  Exchange::Current().must_close = true;
  const absl::Duration retry = hub->JitteredRetry();
  if (request.method == "POST") {
    SetProblem({.status = 503, .detail = DetailOf(refusal)}, response);
    response->set_header("Retry-After", absl::StrCat(static_cast<int64_t>(std::ceil(absl::ToDoubleSeconds(retry)))));
    return;
  }
  // An EventSource never comes back after another status than 200.
  SetStreamHeaders(response);
  response->set_content(hub::EncodeClosing(/*id=*/"", NameOf(refusal), retry), std::string(sse::kContentType));
}

}  // namespace bridge::http
