#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace bridge::http {

// Why a request is not served: the status of the answer and what it says.
struct Refusal {
  int status = 400;
  std::string detail;
};

// The head of a request, checked against RFC 9110 and 9112. What these let a server repair or refuse is refused.
struct RequestHead {
  struct Header {
    absl::string_view name;
    absl::string_view value;
  };

  absl::string_view method;
  // In origin-form ("/path?query") or "*".
  absl::string_view target;
  // 0 or 1: HTTP/1.0, HTTP/1.1.
  int minor_version = 1;
  std::vector<Header> headers;
  // Of the target in absolute-form, else of the Host header. Without the port, lower case is not forced; empty where an
  // HTTP/1.0 client sends none.
  absl::string_view host;
  std::optional<uint64_t> content_length;
  bool is_chunked = false;
  bool is_keep_alive = true;
  bool expects_continue = false;

  bool has_body() const { return is_chunked || content_length.value_or(0) > 0; }
  // The value of the first header of that name (any case); empty where there is none.
  absl::string_view Find(absl::string_view name) const;
};

// What cpp-httplib takes: so many headers, and lines with their CR LF, as RebuildHead writes them.
inline constexpr size_t kHeadersMax = 100;
inline constexpr size_t kLineBytesMax = 8192;

// Parses a whole head, which ends with an empty line. The views in `head` are into `bytes`.
std::optional<Refusal> ParseRequestHead(absl::string_view bytes, RequestHead* head);

// The host of an authority "host:port" or "[::1]:port", without brackets; none where it is malformed.
std::optional<absl::string_view> HostOfAuthority(absl::string_view authority);

}  // namespace bridge::http
