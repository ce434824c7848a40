#pragma once

#include <cerrno>
#include <cstddef>
#include <memory>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>
#include <utility>

#include "absl/types/span.h"

#include "bridge/http/tls_session.h"

namespace bridge::http {

// The bytes of one connection with a client, plain or over TLS. Owns its socket, which is non-blocking.
//
// Not thread-safe.
class Transport {
 public:
  explicit Transport(int fd, std::unique_ptr<TlsSession> tls = nullptr) : tls_(std::move(tls)), fd_(fd) {}
  ~Transport() {
    if (fd_ >= 0) {
      tls_ = nullptr;
      close(fd_);
    }
  }
  Transport(Transport&& other) noexcept : tls_(std::move(other.tls_)), fd_(std::exchange(other.fd_, -1)) {}
  Transport& operator=(Transport&&) = delete;

  // For watching it.
  int fd() const { return fd_; }
  bool is_tls() const { return tls_ != nullptr; }

  // Bytes of the client, 0 at its end, kWouldBlock or kBroken. Over TLS there may be more although the socket has none:
  // read until kWouldBlock.
  ssize_t Read(char* buffer, size_t bytes) {
    if (tls_ != nullptr) {
      return tls_->Read(buffer, bytes);
    }
    while (true) {
      const ssize_t received = recv(fd_, buffer, bytes, MSG_DONTWAIT);
      if (received >= 0) {
        return received;
      }
      if (errno != EINTR) {
        return errno == EAGAIN ? kWouldBlock : kBroken;
      }
    }
  }

  // Something has come that has not been read.
  bool HasInput() const {
    int bytes = 0;
    return ioctl(fd_, FIONREAD, &bytes) == 0 && bytes > 0;
  }

  // How many bytes it took, without waiting, or kBroken. Where it took fewer than all, the rest has to begin where it
  // stopped; TLS counts the end of what it has taken only when the socket has it (TlsSession::Write), and then any
  // event of the socket is a reason to try again.
  ssize_t Write(absl::Span<const iovec> pieces) {
    if (tls_ != nullptr) {
      return tls_->Write(pieces);
    }
    ssize_t written = 0;
    if (pieces.size() == 1) {
      written = send(fd_, pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
    } else {
      msghdr message{};
      message.msg_iov = const_cast<iovec*>(pieces.data());
      message.msg_iovlen = pieces.size();
      written = sendmsg(fd_, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    if (written >= 0) {
      return written;
    }
    return errno == EAGAIN ? 0 : kBroken;
  }

  // In front of a close: over TLS tells the client that nothing was cut off.
  void SayGoodbye() {
    if (tls_ != nullptr) {
      tls_->SendCloseNotify();
    }
  }

  // Tells the client that nothing follows. What is read after that is only good to be dropped: it comes as it is on the
  // wire.
  void EndWriting() {
    SayGoodbye();
    tls_ = nullptr;
    shutdown(fd_, SHUT_WR);
  }

 private:
  std::unique_ptr<TlsSession> tls_;
  int fd_;
};

}  // namespace bridge::http
