#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace bridge::test {

// A TCP connection to 127.0.0.1, of which a test decides each byte. Every wait has a deadline.
class RawConnection {
 public:
  // `receive_buffer_bytes` bounds what the kernel takes for a client that does not read.
  explicit RawConnection(uint16_t port, std::optional<int> receive_buffer_bytes = std::nullopt);
  ~RawConnection();
  RawConnection(const RawConnection&) = delete;
  RawConnection& operator=(const RawConnection&) = delete;

  bool is_connected() const { return fd_ >= 0; }

  // False where the peer has closed.
  bool Send(absl::string_view bytes);
  // What has come, at least a byte; empty after the peer's FIN or reset, or when the time is over.
  std::string Receive(absl::Duration timeout = absl::Seconds(10));
  // All up to the peer's FIN or reset; nothing where that does not come in time.
  std::optional<std::string> ReceiveToEnd(absl::Duration timeout = absl::Seconds(10));
  // Ends the connection by a reset.
  void Reset();
  void CloseWriting();

  // The peer's FIN or reset has been seen.
  bool has_ended() const { return has_ended_; }
  bool was_reset() const { return was_reset_; }

 private:
  int fd_ = -1;
  bool has_ended_ = false;
  bool was_reset_ = false;
};

// A response as text: "HTTP/1.1 200 OK\r\n...".
struct HttpResponse {
  int status = 0;
  std::string head;
  std::string body;

  // The header's value; empty where there is none.
  std::string Header(absl::string_view name) const;
};

HttpResponse ParseResponse(const std::string& text);

// One request on a connection of its own, and its response. `target` such as "/events?topic=a", `extra_headers` lines
// that end with CR LF.
HttpResponse Fetch(uint16_t port, absl::string_view method, absl::string_view target,
                   absl::string_view extra_headers = "", absl::string_view body = "");

}  // namespace bridge::test
