#include "bridge/auth/token_verifier.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "bridge/auth/claims.h"
#include "bridge/auth/json_object.h"
#include "bridge/base/status_macros.h"

namespace bridge::auth {
namespace {

namespace json = boost::json;

constexpr size_t kIssuerBytesMax = 256;

// The three time claims; returns when the token ends.
absl::StatusOr<absl::Time> CheckTimes(const json::object& claims, absl::Duration leeway, absl::Time now) {
  ASSIGN_OR_RETURN(const std::optional<absl::Time> expires, ReadTime(claims, "exp"));
  ASSIGN_OR_RETURN(const std::optional<absl::Time> not_before, ReadTime(claims, "nbf"));
  ASSIGN_OR_RETURN(const std::optional<absl::Time> issued, ReadTime(claims, "iat"));
  if (!expires.has_value()) {
    return absl::UnauthenticatedError("the token has no exp, and one that never ends is not accepted");
  }
  if (now >= *expires + leeway) {
    return absl::UnauthenticatedError("the token has expired");
  }
  if (not_before.has_value() && now + leeway < *not_before) {
    return absl::UnauthenticatedError("the token is not valid yet (nbf)");
  }
  if (issued.has_value() && now + leeway < *issued) {
    return absl::UnauthenticatedError("the token was issued in the future (iat): a clock is wrong");
  }
  return now < *expires ? *expires : *expires + leeway;
}

}  // namespace

TokenVerifier::TokenVerifier(TokenRules rules, std::vector<KeySource*> sources)
    : rules_(std::move(rules)), sources_(std::move(sources)) {}

absl::StatusOr<Identity> TokenVerifier::Verify(absl::string_view token, absl::Time now) const {
  ASSIGN_OR_RETURN(const Jws jws, ParseJws(token));
  if (!jws.type.empty() && jws.type != "jwt" && jws.type != "at+jwt") {  // RFC 8725 §3.11
    return absl::UnauthenticatedError("the token's typ is neither JWT nor at+jwt");
  }
  RETURN_IF_ERROR(CheckSignature(jws));
  return ReadClaims(jws, now);
}

absl::Status TokenVerifier::CheckSignature(const Jws& jws) const {
  if (!rules_.algorithms.empty() && std::ranges::find(rules_.algorithms, jws.algorithm) == rules_.algorithms.end()) {
    return absl::UnauthenticatedError(absl::StrCat("tokens signed with ", NameOf(jws.algorithm), " are not accepted"));
  }
  size_t tried = 0;
  bool is_kid_known = false;
  for (const KeySource* const source : sources_) {
    const std::shared_ptr<const KeySet> keys = source->Keys();
    is_kid_known = is_kid_known || (jws.kid.has_value() && keys->HasKid(*jws.kid));
    for (const Key* const key : keys->Candidates(jws.algorithm, jws.kid)) {
      if (tried++ == kKeysTriedMax) {
        return absl::UnauthenticatedError(
            absl::StrCat("the first ", kKeysTriedMax, " keys did not sign the token; a kid says which one did"));
      }
      if (key->Verifies(jws.algorithm, jws.signed_text, jws.signature)) {
        return absl::OkStatus();
      }
    }
  }
  if (!is_kid_known) {
    bool may_come = false;
    for (KeySource* const source : sources_) {
      may_come = source->MayStillCome(jws.kid.value_or("")) || may_come;
    }
    if (may_come) {
      return absl::UnavailableError("the token's key is not known yet, and the keys are being fetched; try again");
    }
  }
  if (tried > 0) {
    return absl::UnauthenticatedError("the token's signature is wrong");
  }
  return absl::UnauthenticatedError(
      absl::StrCat("no key for ", NameOf(jws.algorithm), jws.kid.has_value() ? " has the token's kid" : " is known"));
}

absl::StatusOr<Identity> TokenVerifier::ReadClaims(const Jws& jws, absl::Time now) const {
  const absl::StatusOr<json::object> claims = ParseJsonObject(jws.payload);
  if (!claims.ok()) {
    return absl::UnauthenticatedError(absl::StrCat("the token's payload ", claims.status().message()));
  }
  Identity identity;
  ASSIGN_OR_RETURN(identity.expires, CheckTimes(*claims, rules_.leeway, now));
  const std::optional<absl::string_view> issuer = FindText(*claims, "iss");
  if (!rules_.issuer.empty() && (!issuer.has_value() || *issuer != rules_.issuer)) {
    return absl::UnauthenticatedError(absl::StrCat("the token's iss is not \"", rules_.issuer, "\""));
  }
  if (!rules_.audience.empty() && !IsFor(*claims, rules_.audience)) {
    return absl::UnauthenticatedError(absl::StrCat("the token's aud does not name \"", rules_.audience, "\""));
  }
  if (issuer.has_value()) {
    if (issuer->size() > kIssuerBytesMax) {
      return absl::UnauthenticatedError(absl::StrCat("the token's iss is longer than ", kIssuerBytesMax, " bytes"));
    }
    identity.issuer = std::string(*issuer);
  }
  ASSIGN_OR_RETURN(identity.subject, ReadSubject(*claims));
  ASSIGN_OR_RETURN(identity.subscribe, ReadPatterns(*claims, rules_.subscribe_claim));
  ASSIGN_OR_RETURN(identity.publish, ReadPatterns(*claims, rules_.publish_claim));
  ASSIGN_OR_RETURN(identity.call, ReadPatterns(*claims, rules_.call_claim));
  ASSIGN_OR_RETURN(identity.serve, ReadPatterns(*claims, rules_.serve_claim));
  return identity;
}

}  // namespace bridge::auth
