#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <sys/types.h>
#include <sys/uio.h>

#include <openssl/ssl.h>

#include "absl/types/span.h"

#include "bridge/auth/openssl.h"

namespace bridge::http {

// What reading and writing return where it is no number of bytes.
inline constexpr ssize_t kWouldBlock = -1;
inline constexpr ssize_t kBroken = -2;

// What a record of ours holds at most: what a client that does not read costs beside its socket.
inline constexpr size_t kTlsRecordBytes = 4096;

using SslPtr = auth::OpensslPtr<SSL, SSL_free>;

// The server's side of TLS on a connected socket.
//
// A record, once encrypted, has to be sent as it is: what the socket does not take of it is kept here and goes first
// next time. OpenSSL itself never sees a socket that is full. So there is at most one record (and what TLS has to say
// about itself, bounded too) beside what the kernel holds; a session that waits for nothing has no buffer at all.
//
// Not thread-safe, but may move from one thread to another between two calls.
class TlsSession {
 public:
  // `ssl` is new and a server's. `fd` is non-blocking, stays the caller's and outlives the session.
  TlsSession(SslPtr ssl, int fd);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  enum class Handshake { kDone, kWaiting, kFailed };
  // Goes on with the handshake as far as the client's bytes allow; it may take milliseconds, so not on an event loop.
  // To be called again when the socket is ready for anything.
  Handshake ContinueHandshake();
  // Why it failed, in OpenSSL's words.
  const char* failure() const { return failure_; }

  // After the handshake. Bytes of the client, 0 at its end, kWouldBlock or kBroken.
  ssize_t Read(char* buffer, size_t bytes);
  // How many bytes it took, or kBroken. Of a record that the socket has not taken whole all but the last byte are said
  // to be taken: the next call has to begin with that byte. So a caller that has had all taken knows that all is sent,
  // and what was not said to be taken is not lost with the session. REQUIRES: each piece has two bytes or more, or has
  // been begun. Where fewer were taken, any event of the socket is a reason to try again.
  ssize_t Write(absl::Span<const iovec> pieces);
  // Tells the client that nothing follows, where the socket takes it at once.
  void SendCloseNotify();

 private:
  struct Bio;

  static void NoteMessage(int is_written, int version, int content_type, const void* bytes, size_t size, SSL* ssl,
                          void* session);
  // Sends of what is kept what the socket takes. False where it is broken.
  bool SendUnsent();

  const int fd_;
  // The last read found the socket empty.
  bool is_drained_ = false;
  bool is_established_ = false;
  bool is_ended_ = false;
  bool is_broken_ = false;
  // The last byte of the record in `unsent_` has not been said to be taken.
  bool is_byte_owed_ = false;
  // What TLS itself has said, in both directions, since the handshake.
  uint8_t control_messages_ = 0;
  // Of the handshake.
  uint32_t received_bytes_ = 0;
  const char* failure_ = "";
  // What the socket has not taken yet, from unsent_begin_ on.
  std::string unsent_;
  size_t unsent_begin_ = 0;
  SslPtr ssl_;
};

}  // namespace bridge::http
