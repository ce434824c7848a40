#include "bridge/config/keys_url.h"

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

#include "bridge/base/status_macros.h"
#include "bridge/config/address.h"

namespace bridge::config {

absl::Status CheckKeysUrl(absl::string_view text) {
  constexpr absl::string_view kExample = "write https://id.example.com/.well-known/jwks.json";
  absl::string_view rest = text;
  const bool is_https = absl::ConsumePrefix(&rest, "https://");
  if (!is_https && !absl::ConsumePrefix(&rest, "http://")) {
    return absl::InvalidArgumentError(absl::StrCat("is no https URL: ", kExample));
  }
  const absl::string_view authority = rest.substr(0, rest.find_first_of("/?#\\"));
  if (absl::StrContains(authority, '@')) {
    return absl::InvalidArgumentError(absl::StrCat("has a name or password before its host: ", kExample));
  }
  const bool has_port = authority.rfind(':') != absl::string_view::npos && !absl::EndsWith(authority, "]");
  const absl::StatusOr<Address> address =
      ParseAddress(has_port ? std::string(authority) : absl::StrCat(authority, is_https ? ":443" : ":80"));
  if (!address.ok() || address->port == 0) {
    return absl::InvalidArgumentError(absl::StrCat("has no host, or no port after it: ", kExample));
  }
  if (!is_https && !IsLoopback(*address)) {
    return absl::InvalidArgumentError(
        absl::StrCat("is not https, and keys that anybody on the way can replace are none: ", kExample));
  }
  return absl::OkStatus();
}

}  // namespace bridge::config
