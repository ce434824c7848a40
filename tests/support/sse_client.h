#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "tests/support/raw_http.h"
#include "tests/support/sse_parser.h"

namespace bridge::test {

// An event stream as a plain client sees it: request, response head, chunks, events.
class SseClient {
 public:
  struct Options {
    // "/events?topic=a".
    std::string target;
    std::string last_event_id = {};
    // Lines that end with CR LF.
    std::string headers = {};
    std::string method = "GET";
    std::string body = {};
    std::string version = "HTTP/1.1";
    std::optional<int> receive_buffer_bytes = {};
    // Over TLS as this client speaks it.
    const TlsClient* tls = nullptr;
  };
  // Connects and sends the request.
  SseClient(uint16_t port, const Options& options);
  SseClient(uint16_t port, const std::string& target, const std::string& last_event_id = "")
      : SseClient(port, Options{.target = target, .last_event_id = last_event_id}) {}

  // The next event, control events too; nothing where none comes in time or the stream has ended.
  std::optional<SseEvent> Next(absl::Duration timeout = absl::Seconds(10));
  // The next event that is no heartbeat.
  std::optional<SseEvent> NextButHeartbeats();
  // The next event that is not a control event.
  std::optional<SseEvent> NextOwn(absl::Duration timeout = absl::Seconds(10));
  // The data of the next `count` own events; fewer where no more come in time.
  std::vector<std::string> NextData(size_t count, absl::Duration timeout = absl::Seconds(10));
  // Reads bridge.open and returns its id. Aborts the test program where something else comes.
  std::string ReadOpen();

  // Whether the stream ends (by FIN, the last chunk or a reset) within the time; events that come first are kept.
  bool WaitForEnd(absl::Duration timeout = absl::Seconds(10));
  // The stream ended with the chunk that says so.
  bool has_ended_cleanly() const { return has_last_chunk_; }
  bool has_ended() const { return has_ended_; }

  // Waits for the head.
  const HttpResponse& Head(absl::Duration timeout = absl::Seconds(10));
  const SseParser& parser() const { return parser_; }
  RawConnection& connection() { return *connection_; }

 private:
  // Reads once; false where nothing came in time.
  bool ReadMore(absl::Duration timeout);
  void TakeBytes();
  void TakeBody();

  std::unique_ptr<RawConnection> connection_;
  std::string raw_;
  bool has_head_ = false;
  bool is_chunked_ = false;
  bool has_last_chunk_ = false;
  bool has_ended_ = false;
  HttpResponse head_;
  SseParser parser_;
  std::deque<SseEvent> events_;
};

}  // namespace bridge::test
