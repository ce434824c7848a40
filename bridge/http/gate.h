#pragma once

#include <httplib.h>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

#include "bridge/auth/authenticator.h"
#include "bridge/http/client.h"
#include "bridge/http/cors.h"
#include "bridge/http/credentials.h"
#include "bridge/http/passing_refusal.h"
#include "bridge/http/problem.h"
#include "bridge/topic/pattern.h"

namespace bridge::http {

// Why somebody is not let in.
struct Denial {
  // They are to come again; else the answer is final.
  std::optional<PassingRefusal> passing = std::nullopt;
  // 400, 401 or 403.
  Problem problem = {};
  // The value of WWW-Authenticate (RFC 6750 §3); empty for none.
  std::string challenge = {};
};

// Answers with what is final about `denial`.
void SetDenial(const Denial& denial, httplib::Response* response);

// Says who a client is and whether it may have what it asks for. Thread-safe.
//
//   who is it (Identify)  ->  may it have this (CheckPatterns, CheckCall)  ->  it enters (Enter)
//
// What may fail for other reasons stands before Enter, which uses a ticket up.
class Gate {
 public:
  // Without keys everybody is anonymous and may have everything. The authenticator and `cors` outlive it.
  Gate(const auth::Authenticator* authenticator, CredentialPlaces places, const Cors* cors);

  // `now` is the wall clock's time, here and below.
  std::variant<Client, Denial> Identify(const httplib::Request& request, absl::Time now) const;

  // Whether each pattern lies within one that the client was granted. `parameter` is what the request calls them.
  std::optional<Denial> CheckPatterns(const Client& client, absl::Span<const topic::Pattern> patterns,
                                      absl::string_view parameter) const;

  // Whether the client may make calls of that name, in whose name they then are: a token has to have a subject.
  // REQUIRES: the name is a topic.
  std::optional<Denial> CheckCall(const Client& client, absl::string_view name) const;
  // Whether it can have any calls, to read and to cancel.
  std::optional<Denial> CheckHasCalls(const Client& client) const;

  // The client is let in: its ticket, if it has one, is used.
  std::optional<Denial> Enter(const Client& client, absl::Time now) const;

  // For somebody who has shown nothing: `wish` is what needs a token.
  Denial DenyAnonymous(const Client& client, absl::string_view wish, absl::string_view parameter) const;

  // The parameters of a query that are the gate's.
  const std::vector<std::string>& parameters() const { return parameters_; }

 private:
  std::variant<Client, Denial> ByTicket(absl::string_view ticket, absl::Time now) const;
  std::variant<Client, Denial> ByToken(absl::string_view token, absl::Time now) const;

  const auth::Authenticator* const authenticator_;
  const CredentialPlaces places_;
  const Cors* const cors_;
  std::vector<std::string> parameters_;
};

}  // namespace bridge::http
