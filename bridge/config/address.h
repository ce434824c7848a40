#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bridge::config {

// Where to listen, as a field of syntax TEXT_SYNTAX_ADDRESS says it.
struct Address {
  // A name, an IPv4 address, or an IPv6 address without its brackets.
  std::string host;
  // 0: a free one.
  uint16_t port = 0;
};

// "127.0.0.1:8080", "[::]:8080", "localhost:8080". INVALID_ARGUMENT goes on from a value that is already named, like
// value_syntax.h's.
absl::StatusOr<Address> ParseAddress(absl::string_view text);

// Only this machine can reach it: 127.0.0.0/8, ::1 or localhost.
bool IsLoopback(const Address& address);

// A name or an address as the host of a URL, where IPv6 stands in brackets: "app.example.com", "127.0.0.1", "[::1]".
// Any case of letters.
bool IsUrlHost(absl::string_view text);

}  // namespace bridge::config
