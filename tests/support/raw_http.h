#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "tests/support/tls_client.h"

namespace bridge::test {

// A TCP connection to 127.0.0.1, of which a test decides each byte; over TLS what the bytes of TLS hold. Every wait has
// a deadline.
class RawConnection {
 public:
  // `receive_buffer_bytes` bounds what the kernel takes for a client that does not read.
  explicit RawConnection(uint16_t port, std::optional<int> receive_buffer_bytes = std::nullopt);
  // Over TLS; not connected where the handshake fails or takes too long. It goes on with the session `resumed`, where
  // there is one.
  RawConnection(uint16_t port, const TlsClient& tls, std::optional<int> receive_buffer_bytes = std::nullopt,
                SSL_SESSION* resumed = nullptr);
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

  // nullptr without TLS.
  SSL* ssl() const { return ssl_.get(); }
  // The peer has said by TLS that nothing follows.
  bool has_close_notify() const { return ssl_ != nullptr && (SSL_get_shutdown(ssl()) & SSL_RECEIVED_SHUTDOWN) != 0; }
  int fd() const { return fd_; }

 private:
  void Handshake(const TlsClient& tls, SSL_SESSION* resumed);
  // Waits until the socket can be read, or written where TLS wants that.
  bool WaitForTls(absl::Time deadline, int result);
  std::string ReceiveTls(absl::Duration timeout);

  SslPtr ssl_;
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
                   absl::string_view extra_headers = "", absl::string_view body = "", const TlsClient* tls = nullptr);

}  // namespace bridge::test
