#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace bridge::base {

// An IPv4 or IPv6 address. An IPv4 address is the same as the one that IPv6 maps it to (::ffff:192.0.2.1). A value.
class IpAddress {
 public:
  // The unspecified address, "::".
  IpAddress() = default;

  // "192.0.2.1", "2001:db8::1": no port, no brackets, no zone.
  static std::optional<IpAddress> Parse(absl::string_view text);
  // Whom a socket is connected with; the unspecified address where that is nobody any more.
  static IpAddress OfPeer(int fd);

  bool is_v4() const;
  bool IsLoopback() const;
  // Routed on the internet: not loopback, private, shared (carriers' NAT), link-local or unspecified.
  bool IsPublic() const;

  // What one client has: the address, or of IPv6 the network of 64 bits.
  IpAddress Client() const;

  std::string ToString() const;

  friend bool operator==(const IpAddress& a, const IpAddress& b) { return a.bytes_ == b.bytes_; }
  template <typename H>
  friend H AbslHashValue(H state, const IpAddress& address) {
    return H::combine(std::move(state), address.bytes_);
  }

 private:
  friend class IpNetwork;
  std::array<uint8_t, 16> bytes_ = {};
};

// The addresses that begin with the same bits. A value.
class IpNetwork {
 public:
  // "10.0.0.0/8", "2001:db8::/32", or one address. None where it is none, or has bits behind its prefix.
  static std::optional<IpNetwork> Parse(absl::string_view text);

  bool Contains(const IpAddress& address) const;

 private:
  IpAddress first_;
  size_t bits_ = 0;
};

}  // namespace bridge::base
