#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "bridge/auth/grants.h"
#include "bridge/auth/tickets.h"
#include "bridge/auth/token_verifier.h"

namespace bridge::auth {

// Says who a client is by what it shows: a token, a ticket, or nothing. Thread-safe.
class Authenticator {
 public:
  // Without keys: everybody may do everything.
  Authenticator();
  // `anonymous` is who shows nothing. `tickets` is nullptr where there are none.
  Authenticator(Identity anonymous, std::unique_ptr<const TokenVerifier> verifier, std::unique_ptr<Tickets> tickets);

  // Without keys what a client shows is not looked at.
  bool has_keys() const { return verifier_ != nullptr; }
  const std::shared_ptr<const Identity>& anonymous() const { return anonymous_; }

  // Errors as of TokenVerifier::Verify. REQUIRES: has_keys().
  absl::StatusOr<std::shared_ptr<const Identity>> ByToken(absl::string_view token, absl::Time now) const;

  // nullptr where there are none.
  Tickets* tickets() const { return tickets_.get(); }

 private:
  const std::shared_ptr<const Identity> anonymous_;
  const std::unique_ptr<const TokenVerifier> verifier_;
  const std::unique_ptr<Tickets> tickets_;
};

}  // namespace bridge::auth
