#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

#include "bridge/http/request_head.h"

namespace bridge::http {

// Takes the chunked transfer coding off a body (RFC 9112 §7.1), strictly: lines end with CR LF, sizes are hexadecimal
// digits and nothing else, chunk extensions and trailers are bounded and dropped.
class ChunkedDecoder {
 public:
  // Who configures the bound calls it `key`, which is a literal.
  explicit ChunkedDecoder(size_t body_bytes_max, absl::string_view key = "http.max_body_bytes")
      : body_bytes_max_(body_bytes_max), key_(key) {}

  // Takes bytes from the front of `input` and appends what they carry to `body`. After is_done() it takes no more.
  std::optional<Refusal> Decode(absl::string_view* input, std::string* body);

  bool is_done() const { return state_ == State::kDone; }

 private:
  enum class State { kSize, kData, kDataEnd, kTrailer, kDone };

  std::optional<Refusal> TakeSizeLine(absl::string_view line);

  const size_t body_bytes_max_;
  const absl::string_view key_;
  State state_ = State::kSize;
  uint64_t chunk_left_ = 0;
  size_t trailer_bytes_ = 0;
};

}  // namespace bridge::http
