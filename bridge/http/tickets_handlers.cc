#include "bridge/http/tickets_handlers.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include <google/protobuf/util/json_util.h>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"

#include "bridge/http/exchange.h"
#include "bridge/http/json_body.h"
#include "bridge/http/passing_refusal.h"
#include "bridge/http/v1/http.pb.h"

namespace bridge::http {
namespace {

constexpr const char* kPath = "/tickets";
constexpr absl::string_view kMethods = "POST, OPTIONS";

// There is nothing to ask for yet.
std::optional<Problem> CheckBody(const httplib::Request& request, const std::string& text) {
  if (auto problem = CheckIsJson(request); problem.has_value() || text.empty()) {
    return problem;
  }
  v1::TicketRequest body;
  return ReadJsonBody(text, "a request for a ticket", "{}", &body);
}

std::string JsonOf(const auth::Tickets::Minted& minted, absl::Time now) {
  v1::Ticket ticket;
  ticket.set_ticket(minted.text);
  ticket.set_expires_in(static_cast<uint32_t>(std::max<int64_t>(absl::ToInt64Seconds(minted.expires - now), 0)));
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(ticket, &json, options);
  return status.ok() ? json : std::string("{}");
}

}  // namespace

TicketsHandlers::TicketsHandlers(absl::Duration retry, const auth::Tickets* tickets, const Gate* gate, const Cors* cors)
    : retry_(retry), tickets_(tickets), gate_(gate), cors_(cors) {}

void TicketsHandlers::AddRoutes(Dispatcher* dispatcher) {
  dispatcher->Route("POST", kPath,
                    [this](const httplib::Request& request, httplib::Response& response) { Serve(request, response); });
  dispatcher->Route("OPTIONS", kPath, [this](const httplib::Request& request, httplib::Response& response) {
    cors_->AnswerPreflight(request, kMethods, &response);
  });
}

void TicketsHandlers::Serve(const httplib::Request& request, httplib::Response& response) {
  response.set_header("Cache-Control", "no-store");
  if (auto problem = CheckBody(request, *Exchange::Current().body)) {
    Refuse({.problem = *std::move(problem)}, request, &response);
    return;
  }
  const absl::Time now = absl::Now();
  const auto identified = gate_->Identify(request, now);
  if (const auto* denial = std::get_if<Denial>(&identified)) {
    Refuse(*denial, request, &response);
    return;
  }
  const auto& client = std::get<Client>(identified);
  if (client.is_anonymous) {
    Refuse(gate_->DenyAnonymous(client, "a ticket", ""), request, &response);
    return;
  }
  const absl::StatusOr<auth::Tickets::Minted> minted = tickets_->Mint(*client.identity, now);
  if (!minted.ok()) {
    Refuse({.problem = {.status = 400, .detail = std::string(minted.status().message())}}, request, &response);
    return;
  }
  made_.Add(1);
  response.set_content(JsonOf(*minted, now), "application/json");
}

void TicketsHandlers::Refuse(const Denial& denial, const httplib::Request& request, httplib::Response* response) {
  refusals_.Add(denial);
  if (denial.passing.has_value()) {
    AnswerPassing(*denial.passing, retry_, request, response);
  } else {
    SetDenial(denial, response);
  }
}

}  // namespace bridge::http
