#pragma once

#include <memory>
#include <optional>

#include "bridge/auth/grants.h"
#include "bridge/auth/tickets.h"

namespace bridge::http {

// Whom a request comes from: what its rights, and any limits, go by. A value.
struct Client {
  // Never null.
  std::shared_ptr<const auth::Identity> identity;
  // Nothing was shown that says who it is.
  bool is_anonymous = true;
  // There was a cookie that does not count (Credential::has_foreign_cookie).
  bool has_foreign_cookie = false;
  // It has shown a ticket, which is not used yet.
  std::optional<auth::Tickets::Id> ticket = std::nullopt;
};

}  // namespace bridge::http
