#include "bridge/config/validate_calls.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "bridge/base/shown.h"
#include "bridge/base/status_macros.h"

namespace bridge::config {
namespace {

absl::Status CheckHeader(const std::string& name) {
  const bool is_name = !name.empty() && std::ranges::all_of(name, [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
  });
  if (!is_name) {
    return absl::InvalidArgumentError(
        absl::StrCat("calls.metadata: ", base::Quoted(name), " is not the name of a header, as in X-Request-Id"));
  }
  for (const char* secret : {"authorization", "cookie", "proxy-authorization"}) {
    if (absl::EqualsIgnoreCase(name, secret)) {
      return absl::InvalidArgumentError(
          absl::StrCat("calls.metadata: ", base::Quoted(name),
                       " is a secret of the caller, and workers must not get it: leave it out; the token's subject is "
                       "handed to them anyway"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateCalls(const v1::Calls& calls) {
  for (const std::string& name : calls.metadata()) {
    RETURN_IF_ERROR(CheckHeader(name));
  }
  return absl::OkStatus();
}

}  // namespace bridge::config
