#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "bridge/auth/authenticator.h"
#include "bridge/auth/grants.h"

namespace bridge::rpc {

// Who publishes, and what they may. An immutable value.
class PublisherIdentity {
 public:
  struct Grants {
    auth::PatternSet publish;
    auth::PatternSet serve;
  };

  // Who shows nothing that is known. `remedy` says how that can be changed.
  static PublisherIdentity Anonymous(Grants grants, std::string remedy);
  static PublisherIdentity OfToken(const auth::Identity& identity);
  // `name` is that of the entry in the configuration.
  static PublisherIdentity OfCertificate(const std::string& name, Grants grants);

  // The scope of idempotency keys and of limits: "" for anonymous ones, and no name of one kind is one of another's.
  // Tokens of one issuer and subject are one publisher, whatever they grant.
  const std::string& name() const { return name_; }
  absl::Time expires() const { return expires_; }

  // PERMISSION_DENIED: not on this topic. UNAUTHENTICATED: not without showing who it is. REQUIRES: `topic` is valid.
  absl::Status CheckTopic(absl::string_view topic) const;
  // The same for serving calls of that name.
  absl::Status CheckServe(absl::string_view name) const;
  // UNAUTHENTICATED where there is nothing at all for who shows nothing.
  absl::Status CheckAnything() const;

 private:
  PublisherIdentity(std::string name, Grants grants) : name_(std::move(name)), grants_(std::move(grants)) {}

  std::string name_;
  Grants grants_;
  absl::Time expires_ = absl::InfiniteFuture();
  // Empty where it has shown who it is.
  std::string remedy_;
};

// What the call of a publisher shows.
struct PublisherCredentials {
  // The values of the metadata "authorization".
  std::vector<absl::string_view> authorizations;
  // The names of kind URI and DNS in the client certificate of its connection, which has been verified.
  std::vector<std::string> uris;
  std::vector<std::string> dns_names;
};

// Says who a publisher is: by its token, else by its certificate. Thread-safe.
class PublisherIdentities {
 public:
  // A certificate with this name may do this.
  struct Client {
    // A URI, which has "://", or a DNS name.
    std::string name;
    PublisherIdentity::Grants grants;
  };
  struct Options {
    // Tokens are looked at where it has keys.
    const auth::Authenticator* authenticator;
    // Connections have a client certificate.
    bool has_certificates = false;
    // The first that has a name of a certificate says what it may.
    std::vector<Client> clients;
    // What everybody else may.
    PublisherIdentity::Grants anonymous;
  };

  explicit PublisherIdentities(Options options);

  // `now` is the wall clock's time. Takes some 3 to 800 µs where there is a token. UNAUTHENTICATED says what to do;
  // UNAVAILABLE: the token's key is being fetched.
  absl::StatusOr<std::shared_ptr<const PublisherIdentity>> Of(const PublisherCredentials& credentials,
                                                              absl::Time now) const;

 private:
  struct KnownClient {
    std::string name;
    std::shared_ptr<const PublisherIdentity> identity;
  };

  const auth::Authenticator* const authenticator_;
  std::vector<KnownClient> clients_;
  std::shared_ptr<const PublisherIdentity> anonymous_;
};

}  // namespace bridge::rpc
