#include "bridge/http/calls_handlers.h"

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "bridge/calls/call_record.h"
#include "bridge/http/exchange.h"
#include "bridge/http/json_body.h"
#include "bridge/http/problem.h"
#include "bridge/http/stream_response.h"
#include "bridge/http/v1/http.pb.h"
#include "bridge/log/position.h"
#include "bridge/topic/topic.h"

namespace bridge::http {
namespace {

using calls::Calls;

constexpr absl::string_view kPrefix = "/calls/";
constexpr absl::string_view kMethods = "GET, HEAD, POST, DELETE, OPTIONS";

calls::Owner OwnerOf(const Client& client) {
  return {.issuer = client.identity->issuer, .subject = client.identity->subject};
}

// The client has the end already.
bool HasEnd(const Calls::View& view, const std::string& last_event_id) {
  const auto position = log::ParseEventId(last_event_id);
  return view.end.has_value() && position.ok() && position->epoch == view.opened.epoch &&
         position->sequence >= view.newest;
}

// Where the events of the answer begin for a client that has this id.
hub::Start StartOf(const Calls::View& view, const std::string& last_event_id) {
  const auto position = log::ParseEventId(last_event_id);
  if (!position.ok() || position->epoch != view.opened.epoch || position->sequence <= view.opened.sequence) {
    return {.kind = hub::Start::Kind::kReplayAll, .id = {}};
  }
  if (HasEnd(view, last_event_id)) {  // which is said again
    return {.kind = hub::Start::Kind::kAfterId,
            .id = log::EventIdOf({.epoch = view.opened.epoch, .sequence = view.newest - 1})};
  }
  return {.kind = hub::Start::Kind::kAfterId, .id = last_event_id};
}

std::string OpenedJson(const std::string& id, absl::Duration heartbeat) {
  v1::CallOpened opened;
  opened.set_call_id(id);
  opened.set_url(id);
  opened.set_heartbeat_ms(static_cast<uint32_t>(absl::ToInt64Milliseconds(heartbeat)));
  return WriteJson(opened);
}

}  // namespace

CallsHandlers::CallsHandlers(Options options, std::vector<hub::Hub*> hubs, Calls* calls, const Gate* gate,
                             const ClientAddresses* addresses, const Cors* cors, StreamLimits* limits)
    : options_(std::move(options)),
      hubs_(std::move(hubs)),
      calls_(calls),
      gate_(gate),
      addresses_(addresses),
      cors_(cors),
      limits_(limits) {}

void CallsHandlers::AddRoutes(Dispatcher* dispatcher) {
  const auto route = [&](const char* method, auto serve) {
    dispatcher->RouteBelow(method, kPrefix,
                           [this, serve](const httplib::Request& request, httplib::Response& response) {
                             if (IsFromOwnPage(request, &response)) {
                               (this->*serve)(request, response);
                             }
                           });
  };
  route("POST", &CallsHandlers::Post);
  route("GET", &CallsHandlers::Get);
  route("DELETE", &CallsHandlers::Delete);
  dispatcher->RouteBelow("OPTIONS", kPrefix, [this](const httplib::Request& request, httplib::Response& response) {
    if (IsFromOwnPage(request, &response)) {
      cors_->AnswerPreflight(request, kMethods, &response, options_.rules.metadata);
    }
  });
  dispatcher->LimitBodiesBelow(kPrefix, {.bytes_max = options_.body_bytes_max, .key = "calls.max_body_bytes"});
}

// --- Asking Calls.

void CallsHandlers::Post(const httplib::Request& request, httplib::Response& response) {
  const Exchange& exchange = Exchange::Current();
  if (const absl::Status valid = topic::ValidateTopic(exchange.segment); !valid.ok()) {
    Refuse({.status = 404, .detail = absl::StrCat("no call has this name: ", valid.message())}, &response);
    return;
  }
  auto parsed = ParsePostedCall(request, *exchange.head, options_.rules);
  if (const auto* problem = std::get_if<Problem>(&parsed)) {
    Refuse(*problem, &response);
    return;
  }
  if (!MayServe(request, &response)) {
    return;
  }
  const auto identified = gate_->Identify(request, absl::Now());
  if (const auto* denial = std::get_if<Denial>(&identified)) {
    Refuse(*denial, request, &response);
    return;
  }
  auto& posted = std::get<PostedCall>(parsed);
  Asked asked{.client = std::get<Client>(identified),
              .last_event_id = std::move(posted.last_event_id),
              .is_async = posted.call.is_async};
  if (const auto denial = gate_->CheckCall(asked.client, exchange.segment)) {
    Refuse(*denial, request, &response);
    return;
  }
  const auto problem = asked.client.is_anonymous ? CheckIsSecret(posted.call.idempotency_key) : std::nullopt;
  if (problem.has_value()) {
    Refuse(*problem, &response);
    return;
  }
  if (!asked.is_async && !TakePlace(request, &asked, &response)) {
    return;
  }
  posted.call.name = std::string(exchange.segment);
  posted.call.body = std::move(*exchange.body);
  posted.call.owner = OwnerOf(asked.client);
  const ClientAddress address = addresses_->Find(exchange.peer, *exchange.head);
  posted.call.address = address.is_one_clients ? address.address.Client().ToString() : "";
  calls_->Open(std::move(posted.call), WhenDone(std::move(asked), &CallsHandlers::AnswerOpened));
}

void CallsHandlers::Get(const httplib::Request& request, httplib::Response& response) {
  auto parsed = ParseReadCall(request, options_.rules);
  if (const auto* problem = std::get_if<Problem>(&parsed)) {
    Refuse(*problem, &response);
    return;
  }
  if (!HasCallId(&response) || !MayServe(request, &response)) {
    return;
  }
  std::optional<Client> client = IdentifyOwner(request, &response);
  if (!client.has_value()) {
    return;
  }
  Asked asked{.client = *std::move(client), .last_event_id = std::get<std::string>(std::move(parsed))};
  const bool is_head = request.method == "HEAD";
  if (!is_head && !TakePlace(request, &asked, &response)) {
    return;
  }
  calls::Owner owner = OwnerOf(asked.client);
  calls_->Find(std::string(Exchange::Current().segment), std::move(owner),
               is_head ? Calls::Access::kLook : Calls::Access::kRead,
               WhenDone(std::move(asked), &CallsHandlers::AnswerFound));
}

void CallsHandlers::Delete(const httplib::Request& request, httplib::Response& response) {
  if (const auto problem = CheckCancelCall(request)) {
    Refuse(*problem, &response);
    return;
  }
  if (!HasCallId(&response)) {
    return;
  }
  std::optional<Client> client = IdentifyOwner(request, &response);
  if (!client.has_value()) {
    return;
  }
  calls::Owner owner = OwnerOf(*client);
  calls_->Cancel(std::string(Exchange::Current().segment), std::move(owner),
                 WhenDone({.client = *std::move(client)}, &CallsHandlers::AnswerCancelled));
}

Calls::Done CallsHandlers::WhenDone(Asked asked, Next next) {
  const auto if_late = [this](const httplib::Request& request, httplib::Response& response) {
    Refuse(PassingRefusal::kLogAway, request, &response);
  };
  // Until the connection goes on, nothing here is touched: it may all be gone.
  return [this, next, deferred = Exchange::Current().Defer(if_late), kept = std::move(asked)](Outcome outcome) mutable {
    deferred.Resume([this, next, resumed = std::move(kept), done = std::move(outcome)](
                        const httplib::Request& request, httplib::Response& response) mutable {
      if (const auto* refusal = std::get_if<Calls::Refusal>(&done)) {
        Refuse(*refusal, request, &response);
      } else {
        (this->*next)(std::move(resumed), std::get<View>(std::move(done)), request, &response);
      }
    });
  };
}

// --- What Calls has answered.

void CallsHandlers::AnswerOpened(Asked asked, View view, const httplib::Request& request, httplib::Response* response) {
  response->set_header("Location", view.id);
  if (!asked.is_async) {
    AnswerWithEvents(std::move(asked), std::move(view), request, response);
    return;
  }
  response->status = 202;
  response->set_header("Preference-Applied", "respond-async");
  response->set_header("Cache-Control", "no-store");
  response->set_content(OpenedJson(view.id, absl::ZeroDuration()), "application/json");
}

void CallsHandlers::AnswerFound(Asked asked, View view, const httplib::Request& request, httplib::Response* response) {
  if (HasEnd(view, asked.last_event_id)) {
    response->status = 204;  // an EventSource comes again after everything else
    response->set_header("Cache-Control", "no-store");
    return;
  }
  if (request.method != "HEAD") {
    // Last, for it uses a ticket up.
    if (const auto denial = gate_->Enter(asked.client, absl::Now())) {
      Refuse(*denial, request, response);
      return;
    }
  }
  AnswerWithEvents(std::move(asked), std::move(view), request, response);
}

void CallsHandlers::AnswerCancelled(Asked /*asked*/, View view, const httplib::Request& /*request*/,
                                    httplib::Response* response) {
  response->status = view.end.has_value() ? 200 : 202;
  response->set_header("Cache-Control", "no-store");
  // A CallCancelled, whose end is JSON already. The id needs no escape.
  response->set_content(absl::StrCat(R"({"call_id":")", view.id, "\"",
                                     view.end.has_value() ? absl::StrCat(R"(,"end":)", *view.end) : "", "}"),
                        "application/json");
}

void CallsHandlers::AnswerWithEvents(Asked asked, View view, const httplib::Request& request,
                                     httplib::Response* response) {
  // A new call has no events before it, whatever id the client has.
  const bool is_new = request.method == "POST" && !view.is_joined;
  hub::Start start = StartOf(view, is_new ? "" : asked.last_event_id);
  start.open_data = OpenedJson(view.id, options_.heartbeat);
  AnswerWithStream({.hub = CurrentHub(),
                    .selection = {.patterns = {*topic::Pattern::Parse(view.id)}, .types = {}},
                    .start = std::move(start),
                    .terms = {.ends = asked.client.identity->expires},
                    .place = std::move(asked.place),
                    .reader = std::move(view.reader),
                    .opened = &opened_},
                   request, response);
}

// --- What stands in the way.

bool CallsHandlers::IsFromOwnPage(const httplib::Request& request, httplib::Response* response) {
  if (cors_->MayAct(request)) {
    return true;
  }
  // Whatever its type: a page needs nobody's leave to send text, and its user would pay for the answer.
  refusals_.forbidden.Add(1);
  SetProblem({.status = 403,
              .detail = "pages of this origin may not make calls; http.cors.allowed_origins names those that may",
              .parameter = "Origin"},
             response);
  return false;
}

bool CallsHandlers::MayServe(const httplib::Request& request, httplib::Response* response) {
  hub::Hub* const hub = CurrentHub();
  hub->loop().AssertOnLoop();
  if (!hub->is_ready()) {
    Refuse(PassingRefusal::kStarting, request, response);
  } else if (is_draining_.load(std::memory_order_relaxed)) {
    Refuse(PassingRefusal::kDraining, request, response);
  } else {
    return true;
  }
  return false;
}

std::optional<Client> CallsHandlers::IdentifyOwner(const httplib::Request& request, httplib::Response* response) {
  auto identified = gate_->Identify(request, absl::Now());
  if (const auto* denial = std::get_if<Denial>(&identified)) {
    Refuse(*denial, request, response);
    return std::nullopt;
  }
  auto& client = std::get<Client>(identified);
  if (const auto denial = gate_->CheckHasCalls(client)) {
    Refuse(*denial, request, response);
    return std::nullopt;
  }
  return std::move(client);
}

bool CallsHandlers::HasCallId(httplib::Response* response) {
  if (calls::IsCallId(Exchange::Current().segment)) {
    return true;
  }
  Refuse({.status = 404,
          .detail = absl::StrCat("this is not the id of a call, which has ", calls::kCallIdBytes, " characters")},
         response);
  return false;
}

bool CallsHandlers::TakePlace(const httplib::Request& request, Asked* asked, httplib::Response* response) {
  const Exchange& exchange = Exchange::Current();
  auto taken = limits_->Take(addresses_->Find(exchange.peer, *exchange.head), asked->client.identity->subject);
  if (const auto* refusal = std::get_if<PassingRefusal>(&taken)) {
    Refuse(*refusal, request, response);
    return false;
  }
  asked->place = std::get<StreamLimits::Place>(std::move(taken));
  return true;
}

void CallsHandlers::Refuse(const Problem& problem, httplib::Response* response) {
  (problem.status == 404 ? refusals_.not_found : refusals_.bad_request).Add(1);
  SetProblem(problem, response);
}

void CallsHandlers::Refuse(const Denial& denial, const httplib::Request& request, httplib::Response* response) {
  if (denial.passing.has_value()) {
    Refuse(*denial.passing, request, response);
    return;
  }
  refusals_.Add(denial);
  SetDenial(denial, response);
}

void CallsHandlers::Refuse(PassingRefusal refusal, const httplib::Request& request, httplib::Response* response) {
  refusals_.Add(refusal);
  hub::Hub* const hub = CurrentHub();
  hub->loop().AssertOnLoop();
  AnswerPassing(refusal, hub->JitteredRetry(), request, response);
}

void CallsHandlers::Refuse(const Calls::Refusal& refusal, const httplib::Request& request,
                           httplib::Response* response) {
  using Kind = Calls::Refusal::Kind;
  const auto pass = [&](PassingRefusal passing) {
    refusals_.Add(passing);
    hub::Hub* const hub = CurrentHub();
    hub->loop().AssertOnLoop();
    AnswerPassing(passing, refusal.message, hub->JitteredRetry(), request, response);
  };
  switch (refusal.kind) {
    case Kind::kUnknownName:
    case Kind::kNotFound:
      Refuse({.status = 404, .detail = refusal.message}, response);
      return;
    case Kind::kOtherBody:
      Refuse({.status = 422, .detail = refusal.message, .parameter = "Idempotency-Key"}, response);
      return;
    case Kind::kNoWorker:
      pass(PassingRefusal::kNoWorker);
      return;
    case Kind::kOverloaded:
      pass(PassingRefusal::kOverloaded);
      return;
    case Kind::kSubjectFull:
      pass(PassingRefusal::kSubjectFull);
      return;
    case Kind::kAddressFull:
      pass(PassingRefusal::kAddressFull);
      return;
    case Kind::kReadersFull:
      pass(PassingRefusal::kReadersFull);
      return;
    case Kind::kDraining:
      pass(PassingRefusal::kDraining);
      return;
    case Kind::kStarting:
      pass(PassingRefusal::kStarting);
      return;
    case Kind::kLogAway:
      pass(PassingRefusal::kLogAway);
      return;
  }
}

hub::Hub* CallsHandlers::CurrentHub() const { return hubs_[Exchange::Current().loop_index]; }

}  // namespace bridge::http
