#include "bridge/config/address.h"

#include <algorithm>
#include <arpa/inet.h>
#include <netinet/in.h>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace bridge::config {
namespace {

bool IsIpv4(const std::string& host) {
  in_addr address = {};
  return inet_pton(AF_INET, host.c_str(), &address) == 1;
}

bool IsIpv6(const std::string& host) {
  in6_addr address = {};
  return inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

bool IsDigit(char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); }

// RFC 1123 §2.1, with the underscores that container networks have. An all-numeric last label would be a mistyped
// address.
bool IsName(absl::string_view host) {
  if (host.size() > 253) {
    return false;
  }
  absl::string_view last;
  for (const absl::string_view label : absl::StrSplit(host, '.')) {
    const bool is_label = !label.empty() && label.size() <= 63 && label.front() != '-' && label.back() != '-' &&
                          std::ranges::all_of(label, [](char c) {
                            return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
                          });
    if (!is_label) {
      return false;
    }
    last = label;
  }
  return !std::ranges::all_of(last, IsDigit);
}

}  // namespace

absl::StatusOr<Address> ParseAddress(absl::string_view text) {
  constexpr absl::string_view kExamples =
      "write host:port, as in 127.0.0.1:8080, 0.0.0.0:8080, [::]:8080 or localhost:8080";
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat("has no port: ", kExamples));
  }
  const absl::string_view port = text.substr(colon + 1);
  Address address;
  uint32_t number = 0;
  if (port.empty() || !std::ranges::all_of(port, IsDigit) || !absl::SimpleAtoi(port, &number) || number > 65535) {
    return absl::InvalidArgumentError(absl::StrCat("has no port from 0 to 65535 after its last colon: ", kExamples));
  }
  address.port = static_cast<uint16_t>(number);
  absl::string_view host = text.substr(0, colon);
  if (!IsUrlHost(host)) {
    return absl::InvalidArgumentError(absl::StrCat("has neither a name nor an address before its port: ", kExamples));
  }
  if (absl::ConsumePrefix(&host, "[")) {
    host.remove_suffix(1);
  }
  address.host = std::string(host);
  return address;
}

bool IsLoopback(const Address& address) {
  in_addr ipv4 = {};
  if (inet_pton(AF_INET, address.host.c_str(), &ipv4) == 1) {
    return (ntohl(ipv4.s_addr) >> 24) == 127;
  }
  in6_addr ipv6 = {};
  if (inet_pton(AF_INET6, address.host.c_str(), &ipv6) == 1) {
    return IN6_IS_ADDR_LOOPBACK(&ipv6);
  }
  return absl::EqualsIgnoreCase(address.host, "localhost");
}

bool IsUrlHost(absl::string_view text) {
  if (absl::StartsWith(text, "[") && absl::EndsWith(text, "]")) {
    return IsIpv6(std::string(text.substr(1, text.size() - 2)));
  }
  return IsIpv4(std::string(text)) || IsName(text);
}

}  // namespace bridge::config
