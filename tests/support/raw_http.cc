#include "tests/support/raw_http.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <memory>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"

namespace bridge::test {

RawConnection::RawConnection(uint16_t port, std::optional<int> receive_buffer_bytes) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (receive_buffer_bytes) {
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &*receive_buffer_bytes, sizeof(*receive_buffer_bytes));
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    close(fd);
    return;
  }
  fd_ = fd;
}

RawConnection::RawConnection(uint16_t port, const TlsClient& tls, std::optional<int> receive_buffer_bytes,
                             SSL_SESSION* resumed)
    : RawConnection(port, receive_buffer_bytes) {
  if (fd_ >= 0) {
    fcntl(fd_, F_SETFL, O_NONBLOCK);
    Handshake(tls, resumed);
  }
}

void RawConnection::Handshake(const TlsClient& tls, SSL_SESSION* resumed) {
  ssl_ = tls.NewSession(fd_, resumed);
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  int result = 0;
  do {
    ERR_clear_error();
    result = SSL_connect(ssl_.get());
  } while (result != 1 && WaitForTls(deadline, result));
  if (result != 1) {
    close(fd_);
    fd_ = -1;
  }
}

bool RawConnection::WaitForTls(absl::Time deadline, int result) {
  const int error = SSL_get_error(ssl_.get(), result);
  if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
    return false;
  }
  pollfd poll_fd{.fd = fd_, .events = error == SSL_ERROR_WANT_READ ? short{POLLIN} : short{POLLOUT}, .revents = 0};
  const absl::Duration left = std::max(deadline - absl::Now(), absl::ZeroDuration());
  return poll(&poll_fd, 1, static_cast<int>(absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1))))) > 0;
}

std::string RawConnection::ReceiveTls(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  std::array<char, 65536> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): it is written to first
  while (true) {
    ERR_clear_error();
    errno = 0;
    const int received = SSL_read(ssl_.get(), buffer.data(), static_cast<int>(buffer.size()));
    if (received > 0) {
      return {buffer.data(), static_cast<size_t>(received)};
    }
    if (SSL_get_error(ssl_.get(), received) != SSL_ERROR_WANT_READ) {
      has_ended_ = true;
      was_reset_ = was_reset_ || errno == ECONNRESET;
      return "";
    }
    if (!WaitForTls(deadline, received)) {
      return "";
    }
  }
}

RawConnection::~RawConnection() {
  if (fd_ >= 0) {
    close(fd_);
  }
}

bool RawConnection::Send(absl::string_view bytes) {
  while (ssl_ != nullptr && !bytes.empty()) {
    ERR_clear_error();
    const int sent = fd_ < 0 ? -1 : SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()));
    if (sent > 0) {
      bytes.remove_prefix(static_cast<size_t>(sent));
    } else if (fd_ < 0 || !WaitForTls(absl::Now() + absl::Seconds(10), sent)) {
      return false;
    }
  }
  while (!bytes.empty()) {
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) {
      continue;
    }
    if (sent <= 0) {
      return false;
    }
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

std::string RawConnection::Receive(absl::Duration timeout) {
  if (ssl_ != nullptr) {
    return fd_ < 0 ? "" : ReceiveTls(timeout);
  }
  pollfd poll_fd{.fd = fd_, .events = POLLIN, .revents = 0};
  if (fd_ < 0 ||
      poll(&poll_fd, 1, static_cast<int>(absl::ToInt64Milliseconds(absl::Ceil(timeout, absl::Milliseconds(1))))) <= 0) {
    return "";
  }
  std::array<char, 65536> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): it is written to first
  const ssize_t received = recv(fd_, buffer.data(), buffer.size(), 0);
  has_ended_ = has_ended_ || received <= 0;
  was_reset_ = was_reset_ || (received < 0 && errno == ECONNRESET);
  return received > 0 ? std::string(buffer.data(), static_cast<size_t>(received)) : "";
}

std::optional<std::string> RawConnection::ReceiveToEnd(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  std::string all;
  while (absl::Now() < deadline) {
    const std::string some = Receive(deadline - absl::Now());
    if (has_ended_) {
      return all;
    }
    if (some.empty()) {
      break;
    }
    all += some;
  }
  return std::nullopt;
}

void RawConnection::Reset() {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  close(fd_);
  fd_ = -1;
}

void RawConnection::CloseWriting() { shutdown(fd_, SHUT_WR); }

std::string HttpResponse::Header(absl::string_view name) const {
  for (const absl::string_view line : absl::StrSplit(head, "\r\n")) {
    const std::pair<absl::string_view, absl::string_view> field = absl::StrSplit(line, absl::MaxSplits(':', 1));
    if (absl::EqualsIgnoreCase(field.first, name)) {
      return std::string(absl::StripAsciiWhitespace(field.second));
    }
  }
  return "";
}

HttpResponse ParseResponse(const std::string& text) {
  HttpResponse response;
  const size_t end = text.find("\r\n\r\n");
  if (end == std::string::npos) {
    response.head = text;
    return response;
  }
  response.head = text.substr(0, end);
  response.body = text.substr(end + 4);
  if (!absl::SimpleAtoi(absl::string_view(text).substr(9, 3), &response.status)) {
    response.status = 0;
  }
  return response;
}

HttpResponse Fetch(uint16_t port, absl::string_view method, absl::string_view target, absl::string_view extra_headers,
                   absl::string_view body, const TlsClient* tls) {
  const auto opened =
      tls == nullptr ? std::make_unique<RawConnection>(port) : std::make_unique<RawConnection>(port, *tls);
  RawConnection& connection = *opened;
  std::string request =
      absl::StrCat(method, " ", target, " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", extra_headers);
  if (!body.empty()) {
    absl::StrAppend(&request, "Content-Length: ", body.size(), "\r\n");
  }
  absl::StrAppend(&request, "\r\n", body);
  connection.Send(request);
  return ParseResponse(connection.ReceiveToEnd().value_or(""));
}

}  // namespace bridge::test
