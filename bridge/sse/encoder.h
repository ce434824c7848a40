#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace bridge::sse {

// The media type of an event stream. Without a charset parameter: cpp-httplib compresses and buffers the type that has
// one.
inline constexpr absl::string_view kContentType = "text/event-stream";

// One event of a stream (WHATWG HTML §9.2, server-sent events).
// REQUIRES: `id` and `type` hold no CR, LF or NUL; all text is UTF-8.
struct Event {
  // None where empty: an id: line without a value would reset the client's last event id.
  absl::string_view id = {};
  // Empty and "message" are the same and not written.
  absl::string_view type = {};
  // Split at CR, LF and CRLF; each line becomes a data: line, an empty text one empty data: line.
  absl::string_view data = {};
  // Milliseconds; 0 for none.
  uint64_t retry_ms = 0;
};

// The bytes that WriteEvent writes.
size_t EncodedSize(const Event& event);

// Writes the event at `out`, its id last, which has room for EncodedSize(event), and returns the end of what was
// written.
char* WriteEvent(const Event& event, char* out);

// The event as text.
std::string EncodeEvent(const Event& event);

// The comment ":\n\n": it keeps proxies from closing an idle stream and is invisible to scripts.
inline constexpr absl::string_view kComment = ":\n\n";

// The framing of a transfer-coding chunk (RFC 9112 §7.1) around an encoded text.
std::string WrapChunk(absl::string_view text);
// The chunk that ends a chunked body.
inline constexpr absl::string_view kLastChunk = "0\r\n\r\n";

}  // namespace bridge::sse
