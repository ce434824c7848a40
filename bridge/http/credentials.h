#pragma once

#include <httplib.h>
#include <string>
#include <variant>

#include "bridge/http/cors.h"
#include "bridge/http/problem.h"

namespace bridge::http {

// Where credentials may stand. What is empty is not looked at.
struct CredentialPlaces {
  // The cookie with a token.
  std::string cookie = {};
  // The parameter of the query with a token.
  std::string token_parameter = {};
  // The parameter of the query with a ticket.
  std::string ticket_parameter = {};
};

// What a request shows of who its client is. Exactly one thing counts, and the rest is not looked at: what the client
// put into this request itself goes before the cookie, which its browser adds to every one. So
//
//   1. Authorization: Bearer (RFC 6750 §2.1); other schemes are somebody else's, such as a proxy's Basic
//   2. the ticket in the query, of a GET only: so no ticket gets another one
//   3. the token in the query, of a GET only
//   4. the cookie, where the browser says that a page of this site sent the request (Sec-Fetch-Site: same-origin or
//      same-site), or its Origin is one that http.cors.allowed_origins names: a foreign page must not open streams or
//      take tickets in a user's name (CSRF). "*" names nobody.
struct Credential {
  enum class Kind { kNone, kToken, kTicket };
  Kind kind = Kind::kNone;
  std::string text = {};
  // Where nothing counts: there is a cookie, which did not because of 4.
  bool has_foreign_cookie = false;
};

// The problem: one of them is there more than once, so that it is not clear which one is meant (RFC 6750 §3.1).
std::variant<Credential, Problem> FindCredential(const httplib::Request& request, const CredentialPlaces& places,
                                                 const Cors& cors);

}  // namespace bridge::http
