#include "bridge/auth/authenticator.h"

#include <utility>

#include "bridge/base/status_macros.h"

namespace bridge::auth {
namespace {

Identity Everybody() {
  Identity identity;
  identity.subscribe = *PatternSet::Parse({">"});
  identity.publish = identity.subscribe;
  identity.call = identity.subscribe;
  identity.serve = identity.subscribe;
  return identity;
}

}  // namespace

Authenticator::Authenticator() : anonymous_(std::make_shared<const Identity>(Everybody())) {}

Authenticator::Authenticator(Identity anonymous, std::unique_ptr<const TokenVerifier> verifier,
                             std::unique_ptr<Tickets> tickets)
    : anonymous_(std::make_shared<const Identity>(std::move(anonymous))),
      verifier_(std::move(verifier)),
      tickets_(std::move(tickets)) {}

absl::StatusOr<std::shared_ptr<const Identity>> Authenticator::ByToken(absl::string_view token, absl::Time now) const {
  ASSIGN_OR_RETURN(Identity identity, verifier_->Verify(token, now));
  return std::make_shared<const Identity>(std::move(identity));
}

}  // namespace bridge::auth
