#pragma once

#include <vector>

#include "bridge/base/ip_address.h"
#include "bridge/http/request_head.h"
#include "bridge/ops/log_limiter.h"

namespace bridge::http {

// Where a request comes from.
struct ClientAddress {
  base::IpAddress address;
  // It is one client's, as far as is known: the limits per address count it. Not so for a loopback address; nor for a
  // private one that connects by itself, for that may be an ingress with everybody behind it.
  bool is_one_clients = false;
};

// Finds out which client sent a request, where proxies stand in between. Thread-safe.
class ClientAddresses {
 public:
  // The header that the proxies write. Only one is looked at: the other one may be whatever a client has sent.
  enum class Header { kXForwardedFor, kForwarded };

  ClientAddresses(std::vector<base::IpNetwork> trusted_proxies, Header header);

  // `peer` is who has connected. Of the header's addresses that one counts which the first proxy in front of the bridge
  // that is not trusted, or is the client, has; all before it may be made up. Where a proxy seems to be missing among
  // the trusted ones, that is logged.
  ClientAddress Find(const base::IpAddress& peer, const RequestHead& head) const;

 private:
  bool IsTrusted(const base::IpAddress& address) const;
  const char* HeaderName() const;

  const std::vector<base::IpNetwork> trusted_;
  const Header header_;
  mutable ops::LogLimiter log_limiter_;
};

}  // namespace bridge::http
