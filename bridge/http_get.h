#pragma once

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace bridge {

// What a command of the binary asks a bridge that runs.
struct HttpRequest {
  std::string url;
  // The value of the header; empty for none.
  std::string authorization = {};
  // The certificates that a bridge's has to be signed by, in PEM; empty: the system's.
  std::string ca_file = {};
  // From the look-up of the name to the last byte.
  absl::Duration timeout;
};

// Takes the status of an answer and bytes of its body as they come; false ends the request.
using OnBody = absl::FunctionRef<bool(int status, absl::string_view bytes)>;

// GETs, and blocks until the answer has ended or `on_body` ends it, which is no error. Returns the answer's status. It
// follows no redirect, and uses no proxy of the environment's.
//
// DEADLINE_EXCEEDED: the time was over. UNAVAILABLE: anything else, in one line that names the URL.
absl::StatusOr<int> HttpGet(const HttpRequest& request, OnBody on_body);

}  // namespace bridge
