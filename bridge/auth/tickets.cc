#include "bridge/auth/tickets.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <tuple>
#include <vector>

#include <openssl/rand.h>

#include "absl/strings/str_cat.h"

#include "bridge/auth/base64url.h"
#include "bridge/auth/claims.h"
#include "bridge/auth/json_object.h"
#include "bridge/auth/jws.h"
#include "bridge/base/status_macros.h"

namespace bridge::auth {
namespace {

namespace json = boost::json;

constexpr char kType[] = "bridge-ticket+jwt";

std::string RandomBytes(size_t count) {
  std::string bytes(count, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(count)) != 1) {
    std::abort();  // without random numbers nothing here is safe
  }
  return bytes;
}

json::array PatternsOf(const PatternSet& patterns) {
  json::array list;
  for (const std::string& pattern : patterns.texts()) {
    list.emplace_back(base::JsonText(pattern));
  }
  return list;
}

absl::Status NoTicket() { return absl::UnauthenticatedError("this is no ticket that this bridge has made"); }

}  // namespace

absl::StatusOr<Tickets::Secret> Tickets::ParseSecret(absl::string_view secret) {
  const Key::Name name = {.kid = "", .algorithm = Algorithm::kHs256};
  ASSIGN_OR_RETURN(Key verifier, Key::FromSecret(name, secret));
  ASSIGN_OR_RETURN(SigningKey signer, SigningKey::FromSecret(Algorithm::kHs256, secret));
  return Secret{.signer = std::move(signer), .verifier = std::move(verifier)};
}

absl::StatusOr<std::unique_ptr<Tickets>> Tickets::Create(Options options, absl::string_view secret) {
  ASSIGN_OR_RETURN(Secret parsed, ParseSecret(secret));
  return std::unique_ptr<Tickets>(new Tickets(options, std::move(parsed)));
}

std::string Tickets::RandomSecret() { return RandomBytes(kSecretBytesMin); }

absl::Status Tickets::SetSecret(absl::string_view secret) {
  ASSIGN_OR_RETURN(Secret parsed, ParseSecret(secret));
  const absl::MutexLock lock(&mutex_);
  last_verifier_ = std::move(secret_.verifier);
  secret_ = std::move(parsed);
  return absl::OkStatus();
}

absl::StatusOr<Tickets::Minted> Tickets::Mint(const Identity& identity, absl::Time now) const {
  if (identity.expires == absl::InfiniteFuture()) {
    return absl::UnauthenticatedError("a ticket is made for a token, and there is none");
  }
  const absl::Time expires = std::min(now + options_.ttl, identity.expires);
  if (now >= expires) {
    return absl::UnauthenticatedError("the token has expired");
  }
  const json::object header = {{"alg", "HS256"}, {"typ", kType}};
  const std::string id = EncodeBase64Url(RandomBytes(std::tuple_size_v<decltype(Id::second)>));
  const absl::Time rounded_up = expires + absl::Seconds(1) - absl::Nanoseconds(1);
  json::object claims = {{"jti", base::JsonText(id)},
                         {"exp", absl::ToUnixSeconds(rounded_up)},
                         {"end", absl::ToUnixSeconds(identity.expires)},
                         {"sub", base::JsonText(identity.subject)},
                         {"subscribe", PatternsOf(identity.subscribe)}};
  if (!identity.issuer.empty()) {
    claims.emplace("iss", base::JsonText(identity.issuer));
  }
  if (!identity.call.texts().empty()) {
    claims.emplace("call", PatternsOf(identity.call));
  }
  const std::string signed_text = JoinSignedText(header, claims);
  absl::StatusOr<std::string> signature;
  {
    const absl::MutexLock lock(&mutex_);
    signature = secret_.signer.Sign(signed_text);
  }
  RETURN_IF_ERROR(signature.status());
  std::string ticket = absl::StrCat(signed_text, ".", EncodeBase64Url(*signature));
  if (ticket.size() > kTicketBytesMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the token's patterns make a ticket of ", ticket.size(), " bytes, and at most ", kTicketBytesMax,
                     " fit in a URL: send the token itself, in the header, or list wider patterns in it"));
  }
  return Minted{.text = std::move(ticket), .expires = expires};
}

absl::StatusOr<Tickets::Ticket> Tickets::Read(absl::string_view text, absl::Time now) const {
  const absl::StatusOr<Jws> jws = ParseJws(text);
  if (!jws.ok() || jws->type != kType) {
    return NoTicket();
  }
  {
    const absl::MutexLock lock(&mutex_);
    const auto verifies = [&](const Key& key) {
      return key.Verifies(jws->algorithm, jws->signed_text, jws->signature);
    };
    if (!verifies(secret_.verifier) && !(last_verifier_.has_value() && verifies(*last_verifier_))) {
      return NoTicket();
    }
  }
  ASSIGN_OR_RETURN(const json::object claims, ParseJsonObject(jws->payload));
  ASSIGN_OR_RETURN(const std::optional<absl::Time> expires, ReadTime(claims, "exp"));
  ASSIGN_OR_RETURN(const std::optional<absl::Time> end, ReadTime(claims, "end"));
  const std::optional<absl::string_view> id = FindText(claims, "jti");
  const std::optional<std::string> id_bytes = !id.has_value() ? std::nullopt : DecodeBase64Url(*id);
  Ticket ticket;
  if (!expires.has_value() || !end.has_value() || !id_bytes.has_value() ||
      id_bytes->size() != ticket.id.second.size()) {
    return NoTicket();
  }
  ticket.id.first = absl::ToUnixSeconds(*expires);
  std::ranges::copy(*id_bytes, ticket.id.second.begin());
  if (now >= *expires || now >= *end) {
    return absl::UnauthenticatedError("the ticket has expired: get another one from POST /tickets");
  }
  ticket.identity.expires = *end;
  ticket.identity.issuer = std::string(FindText(claims, "iss").value_or(""));
  ASSIGN_OR_RETURN(ticket.identity.subject, ReadSubject(claims));
  ASSIGN_OR_RETURN(ticket.identity.subscribe, ReadPatterns(claims, "subscribe"));
  ASSIGN_OR_RETURN(ticket.identity.call, ReadPatterns(claims, "call"));
  return ticket;
}

absl::Status Tickets::Use(const Id& id, absl::Time now) {
  const absl::MutexLock lock(&mutex_);
  if (used_.contains(id)) {
    return absl::UnauthenticatedError(
        "the ticket has been used, and opens one stream: get another one from POST /tickets");
  }
  if (used_.size() >= options_.used_max) {
    if (absl::FromUnixSeconds(used_.begin()->first) > now) {
      return absl::ResourceExhaustedError("too many tickets were used of late; try again");
    }
    used_.erase(used_.begin());
  }
  used_.insert(id);
  return absl::OkStatus();
}

}  // namespace bridge::auth
