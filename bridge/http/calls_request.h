#pragma once

#include <httplib.h>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "bridge/calls/call_types.h"
#include "bridge/http/problem.h"
#include "bridge/http/request_head.h"

namespace bridge::http {

struct CallRules {
  // A request's own timeout only shortens it.
  absl::Duration max_duration = absl::Minutes(10);
  // Headers that are handed to workers, in lower case.
  std::vector<std::string> metadata = {};
  // Parameters of the query of a GET that say who asks, and are read by others.
  std::vector<std::string> other_parameters = {};
};

// What a client asks of POST /calls/NAME.
struct PostedCall {
  // But for its name, its body, and who asks.
  calls::CallRequest call;
  // Empty for none.
  std::string last_event_id;
};
// `head` is the request's own: not every cpp-httplib keeps the order of headers that have one name.
std::variant<PostedCall, Problem> ParsePostedCall(const httplib::Request& request, const RequestHead& head,
                                                  const CallRules& rules);

// An idempotency key of somebody without a token is a secret, and has to be hard to guess.
std::optional<Problem> CheckIsSecret(absl::string_view idempotency_key);

// What a client asks of GET /calls/ID: after which event id the answer is to be read; empty for all of it.
std::variant<std::string, Problem> ParseReadCall(const httplib::Request& request, const CallRules& rules);

// DELETE /calls/ID asks for nothing else.
std::optional<Problem> CheckCancelCall(const httplib::Request& request);

}  // namespace bridge::http
