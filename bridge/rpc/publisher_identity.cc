#include "bridge/rpc/publisher_identity.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

#include "bridge/base/shown.h"
#include "bridge/base/status_macros.h"

namespace bridge::rpc {
namespace {

constexpr absl::string_view kSendToken = "send a token as metadata \"authorization: Bearer TOKEN\"";

// The token in "Bearer TOKEN" (RFC 6750 §2.1).
absl::StatusOr<absl::string_view> TokenIn(const std::vector<absl::string_view>& authorizations) {
  constexpr absl::string_view kScheme = "Bearer ";
  if (authorizations.size() > 1) {
    return absl::UnauthenticatedError(
        absl::StrCat("the metadata \"authorization\" comes ", authorizations.size(), " times; send one token"));
  }
  absl::string_view value = authorizations.front();
  if (!absl::StartsWithIgnoreCase(value, kScheme)) {
    return absl::UnauthenticatedError(absl::StrCat("the metadata \"authorization\" has no token; ", kSendToken));
  }
  value.remove_prefix(kScheme.size());
  return absl::StripAsciiWhitespace(value);
}

bool IsNamed(const PublisherCredentials& credentials, absl::string_view name) {
  if (absl::StrContains(name, "://")) {
    return std::ranges::find(credentials.uris, name) != credentials.uris.end();
  }
  return std::ranges::any_of(credentials.dns_names,
                             [name](const std::string& shown) { return absl::EqualsIgnoreCase(shown, name); });
}

}  // namespace

PublisherIdentity PublisherIdentity::Anonymous(Grants grants, std::string remedy) {
  PublisherIdentity identity("", std::move(grants));
  identity.remedy_ = std::move(remedy);
  return identity;
}

PublisherIdentity PublisherIdentity::OfToken(const auth::Identity& identity) {
  // With the issuer's size, so that no issuer and subject together read as another's.
  PublisherIdentity publisher(
      absl::StrCat("token:", identity.issuer.size(), ":", identity.issuer, ":", identity.subject),
      {.publish = identity.publish, .serve = identity.serve});
  publisher.expires_ = identity.expires;
  return publisher;
}

PublisherIdentity PublisherIdentity::OfCertificate(const std::string& name, Grants grants) {
  return {absl::StrCat("certificate:", name), std::move(grants)};
}

absl::Status PublisherIdentity::CheckTopic(absl::string_view topic) const {
  if (grants_.publish.Matches(topic)) {
    return absl::OkStatus();
  }
  if (!remedy_.empty()) {
    return absl::UnauthenticatedError(
        absl::StrCat("topic ", base::Quoted(topic), ": not everybody may publish on it; ", remedy_));
  }
  return absl::PermissionDeniedError(
      absl::StrCat("topic ", base::Quoted(topic), ": is not within what this publisher may publish on"));
}

absl::Status PublisherIdentity::CheckServe(absl::string_view name) const {
  if (grants_.serve.Matches(name)) {
    return absl::OkStatus();
  }
  if (!remedy_.empty()) {
    return absl::UnauthenticatedError(
        absl::StrCat("call ", base::Quoted(name), ": not everybody may serve it; ", remedy_));
  }
  return absl::PermissionDeniedError(
      absl::StrCat("call ", base::Quoted(name), ": is not within what this publisher may serve"));
}

absl::Status PublisherIdentity::CheckAnything() const {
  return remedy_.empty() || !grants_.publish.texts().empty() || !grants_.serve.texts().empty()
             ? absl::OkStatus()
             : absl::UnauthenticatedError(absl::StrCat("nobody may publish without showing who they are; ", remedy_));
}

PublisherIdentities::PublisherIdentities(Options options) : authenticator_(options.authenticator) {
  for (Client& client : options.clients) {
    clients_.push_back({.name = client.name,
                        .identity = std::make_shared<const PublisherIdentity>(
                            PublisherIdentity::OfCertificate(client.name, std::move(client.grants)))});
  }
  std::string remedy;
  if (authenticator_->has_keys()) {
    remedy = std::string(kSendToken);
  }
  if (options.has_certificates) {
    absl::StrAppend(&remedy, remedy.empty() ? "" : ", or ", "use a certificate with a name in grpc.tls.clients");
  }
  anonymous_ = std::make_shared<const PublisherIdentity>(
      PublisherIdentity::Anonymous(std::move(options.anonymous), std::move(remedy)));
}

absl::StatusOr<std::shared_ptr<const PublisherIdentity>> PublisherIdentities::Of(
    const PublisherCredentials& credentials, absl::Time now) const {
  if (authenticator_->has_keys() && !credentials.authorizations.empty()) {
    ASSIGN_OR_RETURN(const absl::string_view token, TokenIn(credentials.authorizations));
    const absl::StatusOr<std::shared_ptr<const auth::Identity>> identity = authenticator_->ByToken(token, now);
    if (absl::IsUnauthenticated(identity.status())) {
      return absl::UnauthenticatedError(absl::StrCat(identity.status().message(), "; call again with a good token"));
    }
    RETURN_IF_ERROR(identity.status());
    return std::make_shared<const PublisherIdentity>(PublisherIdentity::OfToken(**identity));
  }
  for (const KnownClient& client : clients_) {
    if (IsNamed(credentials, client.name)) {
      return client.identity;
    }
  }
  RETURN_IF_ERROR(anonymous_->CheckAnything());
  return anonymous_;
}

}  // namespace bridge::rpc
