#include "bridge/config/origin.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "bridge/config/address.h"

namespace bridge::config {
namespace {

bool IsScheme(absl::string_view scheme) {  // RFC 3986 §3.1
  return !scheme.empty() && absl::ascii_islower(static_cast<unsigned char>(scheme[0])) &&
         std::ranges::all_of(scheme, [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '+' || c == '-' || c == '.';
         });
}

}  // namespace

absl::Status CheckOrigin(absl::string_view text) {
  constexpr absl::string_view kExamples = "write https://app.example.com, http://localhost:3000 or \"*\"";
  if (text == "*") {
    return absl::OkStatus();
  }
  if (text == "null") {
    return absl::InvalidArgumentError(absl::StrCat("is sent by every sandboxed page and names none: ", kExamples));
  }
  if (text != absl::AsciiStrToLower(text)) {
    return absl::InvalidArgumentError(
        absl::StrCat("has capitals, which browsers do not send: write ", absl::AsciiStrToLower(text)));
  }
  const size_t colon = text.find("://");
  if (colon == absl::string_view::npos || !IsScheme(text.substr(0, colon))) {
    return absl::InvalidArgumentError(
        absl::StrCat("is no origin, it has no scheme such as https:// in front: ", kExamples));
  }
  const absl::string_view scheme = text.substr(0, colon);
  const absl::string_view authority = text.substr(colon + 3);
  if (authority.find_first_of("/?#@") != absl::string_view::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("is no origin, it has more than a scheme, a host and a port: ", kExamples));
  }
  absl::string_view host = authority;
  const size_t port_colon = authority.rfind(':');
  if (port_colon != absl::string_view::npos && !absl::EndsWith(authority, "]")) {
    host = authority.substr(0, port_colon);
    const absl::string_view port = authority.substr(port_colon + 1);
    uint32_t number = 0;
    if (!absl::SimpleAtoi(port, &number) || number > 65535 || absl::StrCat(number) != port) {
      return absl::InvalidArgumentError(absl::StrCat("has a port that is no number from 0 to 65535: ", kExamples));
    }
    if ((scheme == "https" && number == 443) || (scheme == "http" && number == 80)) {
      return absl::InvalidArgumentError(
          absl::StrCat("has the default port, which browsers leave out: write ", scheme, "://", host));
    }
  }
  if (!IsUrlHost(host)) {
    return absl::InvalidArgumentError(absl::StrCat("has neither a name nor an address as its host: ", kExamples));
  }
  return absl::OkStatus();
}

}  // namespace bridge::config
