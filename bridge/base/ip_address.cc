#include "bridge/base/ip_address.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cstring>
#include <netinet/in.h>
#include <sys/socket.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace bridge::base {
namespace {

constexpr size_t kBits = 128;
constexpr std::array<uint8_t, 12> kV4Prefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool IsIn(const IpAddress& address, std::initializer_list<const char*> networks) {
  return std::any_of(networks.begin(), networks.end(),
                     [&](const char* network) { return IpNetwork::Parse(network)->Contains(address); });
}

}  // namespace

std::optional<IpAddress> IpAddress::Parse(absl::string_view text) {
  if (text.size() >= INET6_ADDRSTRLEN || absl::StrContains(text, '\0')) {
    return std::nullopt;
  }
  const std::string terminated(text);
  IpAddress address;
  if (inet_pton(AF_INET6, terminated.c_str(), address.bytes_.data()) == 1) {
    return address;
  }
  std::copy(kV4Prefix.begin(), kV4Prefix.end(), address.bytes_.begin());
  if (inet_pton(AF_INET, terminated.c_str(), address.bytes_.data() + kV4Prefix.size()) == 1) {
    return address;
  }
  return std::nullopt;
}

IpAddress IpAddress::OfPeer(int fd) {
  sockaddr_storage socket{};
  socklen_t size = sizeof(socket);
  IpAddress address;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&socket), &size) != 0) {
    return address;
  }
  if (socket.ss_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &socket, sizeof(v6));
    std::memcpy(address.bytes_.data(), &v6.sin6_addr, address.bytes_.size());
  } else if (socket.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &socket, sizeof(v4));
    std::copy(kV4Prefix.begin(), kV4Prefix.end(), address.bytes_.begin());
    std::memcpy(address.bytes_.data() + kV4Prefix.size(), &v4.sin_addr, sizeof(v4.sin_addr));
  }
  return address;
}

bool IpAddress::is_v4() const { return std::equal(kV4Prefix.begin(), kV4Prefix.end(), bytes_.begin()); }

bool IpAddress::IsLoopback() const { return IsIn(*this, {"127.0.0.0/8", "::1"}); }

bool IpAddress::IsPublic() const {
  return !IsLoopback() && !IsIn(*this, {"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12",
                                        "192.168.0.0/16", "::", "fc00::/7", "fe80::/10"});
}

IpAddress IpAddress::Client() const {
  IpAddress client = *this;
  if (!is_v4()) {
    std::fill(client.bytes_.begin() + 8, client.bytes_.end(), uint8_t{0});
  }
  return client;
}

std::string IpAddress::ToString() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (is_v4()) {
    inet_ntop(AF_INET, bytes_.data() + kV4Prefix.size(), text.data(), text.size());
  } else {
    inet_ntop(AF_INET6, bytes_.data(), text.data(), text.size());
  }
  return text.data();
}

std::optional<IpNetwork> IpNetwork::Parse(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(text, absl::MaxSplits('/', 1));
  const std::optional<IpAddress> first = IpAddress::Parse(parts.first);
  if (!first.has_value()) {
    return std::nullopt;
  }
  const size_t offset = first->is_v4() ? 8 * kV4Prefix.size() : 0;
  size_t bits = kBits - offset;
  if (text.size() > parts.first.size()) {
    const bool is_number =
        !parts.second.empty() && parts.second.find_first_not_of("0123456789") == absl::string_view::npos;
    size_t written = 0;
    if (!is_number || !absl::SimpleAtoi(parts.second, &written) || written > bits) {
      return std::nullopt;
    }
    bits = written;
  }
  IpNetwork network;
  network.bits_ = offset + bits;
  IpAddress masked;
  std::copy_n(first->bytes_.begin(), network.bits_ / 8, masked.bytes_.begin());
  if (network.bits_ % 8 != 0) {
    masked.bytes_[network.bits_ / 8] =
        static_cast<uint8_t>(first->bytes_[network.bits_ / 8] & (0xff00 >> (network.bits_ % 8)));
  }
  if (!(masked == *first)) {
    return std::nullopt;
  }
  network.first_ = masked;
  return network;
}

bool IpNetwork::Contains(const IpAddress& address) const {
  const size_t whole = bits_ / 8;  // NOLINT(clang-analyzer-core.UndefinedBinaryOperatorResult): it has a default
  if (!std::equal(first_.bytes_.begin(), first_.bytes_.begin() + whole, address.bytes_.begin())) {
    return false;
  }
  return bits_ % 8 == 0 || ((first_.bytes_[whole] ^ address.bytes_[whole]) & (0xff00 >> (bits_ % 8)) & 0xff) == 0;
}

}  // namespace bridge::base
