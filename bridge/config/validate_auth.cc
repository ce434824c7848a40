#include "bridge/config/validate_auth.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "bridge/base/shown.h"
#include "bridge/base/status_macros.h"
#include "bridge/config/address.h"
#include "bridge/config/validate_tls.h"

namespace bridge::config {
namespace {

constexpr absl::string_view kKeys = "auth.jwt.keys, auth.jwt.jwks_file or auth.jwt.jwks_url";

std::string NameOf(v1::Jwt::Algorithm algorithm) { return v1::Jwt::Algorithm_Name(algorithm); }

absl::Status ValidateKey(const v1::Jwt& jwt, const v1::JwtKey& key) {
  if (key.algorithm() == v1::Jwt::ALGORITHM_UNSPECIFIED) {
    return absl::InvalidArgumentError(
        "algorithm: is missing: a key is for one algorithm, as in {algorithm: RS256, public_key_file: key.pem}");
  }
  const std::string name = NameOf(key.algorithm());
  const bool takes_secret = absl::StartsWith(name, "HS");
  const absl::string_view wanted = takes_secret ? "secret_file" : "public_key_file";
  if ((takes_secret ? key.secret_file() : key.public_key_file()).empty()) {
    return absl::InvalidArgumentError(absl::StrCat(wanted, ": is missing: ", name, " takes it"));
  }
  if (!(takes_secret ? key.public_key_file() : key.secret_file()).empty()) {
    return absl::InvalidArgumentError(absl::StrCat(takes_secret ? "public_key_file" : "secret_file",
                                                   ": does not go with ", name, ", which takes a ", wanted));
  }
  const auto& accepted = jwt.algorithms();
  if (!accepted.empty() && std::ranges::find(accepted, key.algorithm()) == accepted.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("algorithm: ", name, " is not in auth.jwt.algorithms, so no token of this key would be accepted"));
  }
  return absl::OkStatus();
}

absl::Status ValidateKeys(const v1::Jwt& jwt) {
  std::set<std::string> kids;
  for (int i = 0; i < jwt.keys_size(); ++i) {
    const v1::JwtKey& key = jwt.keys(i);
    const std::string path = absl::StrCat("auth.jwt.keys[", i, "].");
    if (const absl::Status status = ValidateKey(jwt, key); !status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(path, status.message()));
    }
    if (!key.kid().empty() && !kids.insert(key.kid()).second) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, "kid: ", base::Quoted(key.kid()), " is another key's too: each has its own"));
    }
  }
  return absl::OkStatus();
}

// The parameter with a token must be none that says what is asked for.
absl::Status CheckTokenParameter(const std::string& name) {
  constexpr absl::string_view kTaken[] = {"topic",  "type",      "lastEventId", "last_event_id",
                                          "replay", "heartbeat", "ticket"};
  if (std::ranges::find(kTaken, name) != std::end(kTaken)) {
    return absl::InvalidArgumentError(
        absl::StrCat("auth.jwt.query: ", base::Quoted(name), " is a parameter of GET /events: take another name"));
  }
  return absl::OkStatus();
}

// What means nothing without keys.
absl::Status CheckWithoutKeys(const v1::Config& config) {
  const v1::Auth& auth = config.auth();
  const v1::Jwt& jwt = auth.jwt();
  const std::pair<absl::string_view, bool> settings[] = {
      {"auth.jwt.issuer", !jwt.issuer().empty()},
      {"auth.jwt.audience", !jwt.audience().empty()},
      {"auth.jwt.algorithms", !jwt.algorithms().empty()},
      {"auth.jwt.cookie", !jwt.cookie().empty()},
      {"auth.jwt.query", !jwt.query().empty()},
      {"auth.tickets.enabled", auth.tickets().enabled() == v1::Grpc::on},
      {"auth.tickets.secret_file", !auth.tickets().secret_file().empty()},
      {"auth.anonymous.subscribe", !auth.anonymous().subscribe().empty()},
      {"auth.anonymous.publish", !auth.anonymous().publish().empty() && !HasClientCa(config)},
      {"auth.anonymous.call", !auth.anonymous().call().empty()},
      {"auth.anonymous.serve", !auth.anonymous().serve().empty() && !HasClientCa(config)},
  };
  for (const auto& [path, is_set] : settings) {
    if (is_set) {
      return absl::InvalidArgumentError(absl::StrCat(
          path, ": is set, and without keys nobody has a token and everybody may do everything: set ", kKeys));
    }
  }
  return absl::OkStatus();
}

// Without keys the bridge is for this machine, unless somebody says that it is for all.
absl::Status CheckClosed(absl::string_view path, absl::string_view text) {
  ASSIGN_OR_RETURN(const Address address, ParseAddress(text));
  if (IsLoopback(address)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      path, ": ", base::Quoted(text), " can be reached from outside, and without keys everybody may subscribe ",
      "to and publish everything: set ", kKeys, ", or auth.allow_anonymous: true if that is meant"));
}

}  // namespace

bool HasKeys(const v1::Auth& auth) {
  return !auth.jwt().keys().empty() || !auth.jwt().jwks_file().empty() || !auth.jwt().jwks_url().empty();
}

bool HasTickets(const v1::Auth& auth) { return HasKeys(auth) && auth.tickets().enabled() != v1::Grpc::off; }

absl::Status ValidateAuth(const v1::Config& config) {
  const v1::Auth& auth = config.auth();
  if (!HasKeys(auth)) {
    RETURN_IF_ERROR(CheckWithoutKeys(config));
    if (auth.allow_anonymous()) {
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(CheckClosed("http.address", config.http().address()));
    return HasClientCa(config) ? absl::OkStatus() : CheckClosed("grpc.address", config.grpc().address());
  }
  if (auth.allow_anonymous()) {
    return absl::InvalidArgumentError(
        "auth.allow_anonymous: true lets everybody do everything, and there are keys: leave it out, and list in "
        "auth.anonymous what clients without a token may do");
  }
  RETURN_IF_ERROR(ValidateKeys(auth.jwt()));
  RETURN_IF_ERROR(CheckTokenParameter(auth.jwt().query()));
  if (HasTickets(auth) && !config.log().jetstream().url().empty() && auth.tickets().secret_file().empty()) {
    return absl::InvalidArgumentError(
        "auth.tickets.secret_file: is missing: with log.jetstream.url there are several replicas, and each has to take "
        "the others' tickets; or set auth.tickets.enabled: off");
  }
  return absl::OkStatus();
}

}  // namespace bridge::config
