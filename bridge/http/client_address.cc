#include "bridge/http/client_address.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <ranges>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"

#include "bridge/ops/logging.h"

namespace bridge::http {
namespace {

using base::IpAddress;

constexpr absl::Duration kLogWindow = absl::Minutes(10);

// "192.0.2.1", "192.0.2.1:4711", "[2001:db8::1]", "[2001:db8::1]:4711", "2001:db8::1".
std::optional<IpAddress> ParseNode(absl::string_view text) {
  if (absl::ConsumePrefix(&text, "[")) {
    return IpAddress::Parse(text.substr(0, text.find(']')));
  }
  const size_t colon = text.find(':');
  const bool has_port = colon != absl::string_view::npos && colon == text.rfind(':');
  return IpAddress::Parse(has_port ? text.substr(0, colon) : text);
}

// The "for" of one element of Forwarded (RFC 7239 §4); empty where it has none.
absl::string_view ForOf(absl::string_view element) {
  for (absl::string_view pair : absl::StrSplit(element, ';')) {
    pair = absl::StripAsciiWhitespace(pair);
    const size_t equals = pair.find('=');
    if (equals != absl::string_view::npos && absl::EqualsIgnoreCase(pair.substr(0, equals), "for")) {
      absl::string_view value = pair.substr(equals + 1);
      if (absl::ConsumePrefix(&value, "\"")) {
        absl::ConsumeSuffix(&value, "\"");
      }
      return value;
    }
  }
  return {};
}

}  // namespace

ClientAddresses::ClientAddresses(std::vector<base::IpNetwork> trusted_proxies, Header header)
    : trusted_(std::move(trusted_proxies)), header_(header), log_limiter_(kLogWindow) {}

ClientAddress ClientAddresses::Find(const IpAddress& peer, const RequestHead& head) const {
  if (!IsTrusted(peer)) {
    if (!peer.IsPublic() && !head.Find(HeaderName()).empty()) {
      if (const auto suppressed = log_limiter_.Admit()) {
        ops::LogWarn("proxy_not_trusted",
                     {{"address", peer.ToString()},
                      {"fix", "name its network in http.trusted_proxies, or the limits per address count nobody there"},
                      {"suppressed", *suppressed}});
      }
    }
    return {.address = peer, .is_one_clients = peer.IsPublic()};
  }
  for (const RequestHead::Header& line : std::views::reverse(head.headers)) {
    if (!absl::EqualsIgnoreCase(line.name, HeaderName())) {
      continue;
    }
    const std::vector<absl::string_view> elements = absl::StrSplit(line.value, ',');
    for (const absl::string_view element : std::views::reverse(elements)) {
      const absl::string_view text = absl::StripAsciiWhitespace(element);
      const std::optional<IpAddress> address = ParseNode(header_ == Header::kForwarded ? ForOf(text) : text);
      if (!address.has_value()) {
        return {.address = peer};  // "unknown", or nonsense of a proxy that is trusted
      }
      if (!IsTrusted(*address)) {
        return {.address = *address, .is_one_clients = !address->IsLoopback()};
      }
    }
  }
  return {.address = peer};
}

bool ClientAddresses::IsTrusted(const IpAddress& address) const {
  return std::any_of(trusted_.begin(), trusted_.end(),
                     [&](const base::IpNetwork& network) { return network.Contains(address); });
}

const char* ClientAddresses::HeaderName() const {
  return header_ == Header::kForwarded ? "Forwarded" : "X-Forwarded-For";
}

}  // namespace bridge::http
