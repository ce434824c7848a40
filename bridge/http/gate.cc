#include "bridge/http/gate.h"

#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace bridge::http {
namespace {

constexpr absl::string_view kChallenge = "Bearer realm=\"grpc-sse-bridge\"";

// RFC 6750 §3: of printable ASCII, without quotes and backslashes.
std::string Challenge(absl::string_view error, absl::string_view description) {
  std::string text(description);
  for (char& c : text) {
    if (c == '"') {
      c = '\'';
    } else if (c == '\\' || !absl::ascii_isprint(static_cast<unsigned char>(c))) {
      c = '?';
    }
  }
  return absl::StrCat(kChallenge, ", error=\"", error, "\", error_description=\"", text, "\"");
}

// What was shown is good for nothing.
Denial BadCredential(const absl::Status& why) {
  return {.problem = {.status = 401, .detail = std::string(why.message())},
          .challenge = Challenge("invalid_token", why.message())};
}

Denial Forbid(const std::string& detail) {
  return {.problem = {.status = 403, .detail = detail}, .challenge = Challenge("insufficient_scope", detail)};
}

}  // namespace

void SetDenial(const Denial& denial, httplib::Response* response) {
  SetProblem(denial.problem, response);
  if (!denial.challenge.empty()) {
    response->set_header("WWW-Authenticate", denial.challenge);
  }
}

Gate::Gate(const auth::Authenticator* authenticator, CredentialPlaces places, const Cors* cors)
    : authenticator_(authenticator), places_(std::move(places)), cors_(cors) {
  for (const std::string& parameter : {places_.ticket_parameter, places_.token_parameter}) {
    if (!parameter.empty()) {
      parameters_.push_back(parameter);
    }
  }
}

std::variant<Client, Denial> Gate::Identify(const httplib::Request& request, absl::Time now) const {
  if (!authenticator_->has_keys()) {
    return Client{.identity = authenticator_->anonymous()};
  }
  auto found = FindCredential(request, places_, *cors_);
  if (auto* problem = std::get_if<Problem>(&found)) {
    std::string challenge = Challenge("invalid_request", problem->detail);
    return Denial{.problem = std::move(*problem), .challenge = std::move(challenge)};
  }
  const auto& credential = std::get<Credential>(found);
  switch (credential.kind) {
    case Credential::Kind::kToken:
      return ByToken(credential.text, now);
    case Credential::Kind::kTicket:
      return ByTicket(credential.text, now);
    case Credential::Kind::kNone:
      break;
  }
  return Client{.identity = authenticator_->anonymous(), .has_foreign_cookie = credential.has_foreign_cookie};
}

std::variant<Client, Denial> Gate::ByToken(absl::string_view token, absl::Time now) const {
  auto identity = authenticator_->ByToken(token, now);
  if (absl::IsUnavailable(identity.status())) {
    return Denial{.passing = PassingRefusal::kKeysPending};
  }
  if (!identity.ok()) {
    return BadCredential(identity.status());
  }
  return Client{.identity = *std::move(identity), .is_anonymous = false};
}

std::variant<Client, Denial> Gate::ByTicket(absl::string_view ticket, absl::Time now) const {
  auto read = authenticator_->tickets()->Read(ticket, now);
  if (!read.ok()) {
    return BadCredential(read.status());
  }
  return Client{.identity = std::make_shared<const auth::Identity>(std::move(read->identity)),
                .is_anonymous = false,
                .ticket = read->id};
}

std::optional<Denial> Gate::CheckPatterns(const Client& client, absl::Span<const topic::Pattern> patterns,
                                          absl::string_view parameter) const {
  for (const topic::Pattern& pattern : patterns) {
    if (client.identity->MaySubscribe(pattern)) {
      continue;
    }
    const std::string wish = absl::StrCat("subscribing to \"", pattern.text(), "\"");
    if (client.is_anonymous) {
      return DenyAnonymous(client, wish, parameter);
    }
    const std::string detail = absl::StrCat(wish, " is not granted: no pattern of the ",
                                            client.ticket.has_value() ? "ticket" : "token", " contains it");
    return Denial{.problem = {.status = 403, .detail = detail, .parameter = std::string(parameter)},
                  .challenge = Challenge("insufficient_scope", detail)};
  }
  return std::nullopt;
}

std::optional<Denial> Gate::CheckCall(const Client& client, absl::string_view name) const {
  if (!client.identity->MayCall(name)) {
    const std::string wish = absl::StrCat("calling \"", name, "\"");
    if (client.is_anonymous) {
      return DenyAnonymous(client, wish, "");
    }
    return Forbid(absl::StrCat(wish, " is not granted: no pattern of the token's calls matches it"));
  }
  return CheckHasCalls(client);
}

std::optional<Denial> Gate::CheckHasCalls(const Client& client) const {
  if (client.is_anonymous) {
    return client.identity->call.texts().empty() ? std::optional(DenyAnonymous(client, "a call", "")) : std::nullopt;
  }
  return client.identity->subject.empty()
             ? std::optional(Forbid("a call belongs to somebody: the token needs a subject (sub)"))
             : std::nullopt;
}

std::optional<Denial> Gate::Enter(const Client& client, absl::Time now) const {
  if (!client.ticket.has_value()) {
    return std::nullopt;
  }
  const absl::Status used = authenticator_->tickets()->Use(*client.ticket, now);
  if (absl::IsResourceExhausted(used)) {
    return Denial{.passing = PassingRefusal::kTicketsExhausted};
  }
  return used.ok() ? std::nullopt : std::optional(BadCredential(used));
}

Denial Gate::DenyAnonymous(const Client& client, absl::string_view wish, absl::string_view parameter) const {
  std::string detail = absl::StrCat(wish, " needs a token");
  if (client.has_foreign_cookie) {
    absl::StrAppend(
        &detail, "; the cookie ", places_.cookie,
        " does not count here: that takes Sec-Fetch-Site: same-origin or same-site, which browsers send over "
        "https and to localhost, or a page whose origin http.cors.allowed_origins names");
  }
  return {.problem = {.status = 401, .detail = std::move(detail), .parameter = std::string(parameter)},
          .challenge = std::string(kChallenge)};
}

}  // namespace bridge::http
