#include "tests/bench/sockets.h"

#include <arpa/inet.h>
#include <cerrno>
#include <charconv>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/report.h"

namespace bridge::bench {
namespace {

constexpr rlim_t kOwnDescriptors = 100;
constexpr int kBacklog = 4096;

}  // namespace

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    Close();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void Fd::Close() {
  if (fd_ >= 0) close(std::exchange(fd_, -1));
}

void RaiseDescriptorLimit(size_t count) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) FailErrno("getrlimit");
  if (limit.rlim_max < count + kOwnDescriptors) {
    Fail(std::to_string(count) + " connections are more than one process may have: its limit is " +
         std::to_string(limit.rlim_max) + " descriptors; start several");
  }
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) FailErrno("setrlimit");
}

sockaddr_in ParseAddress(const std::string& text) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  const size_t colon = text.rfind(':');
  uint16_t port = 0;
  const char* end = text.data() + text.size();
  if (colon == std::string::npos || std::from_chars(text.data() + colon + 1, end, port).ptr != end ||
      inet_pton(AF_INET, text.substr(0, colon).c_str(), &address.sin_addr) != 1) {
    Fail("\"" + text + "\" is no address; right would be 127.0.0.1:8080");
  }
  address.sin_port = htons(port);
  return address;
}

Fd StartConnect(const sockaddr_in& target, uint8_t source_host) {
  Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.is_open()) FailErrno("socket");
  const int on = 1;
  const linger reset{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (source_host != 0) {
    setsockopt(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    sockaddr_in source{};
    source.sin_family = AF_INET;
    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + source_host);
    if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&source), sizeof(source)) != 0) FailErrno("bind");
  }
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&target), sizeof(target)) != 0 && errno != EINPROGRESS) {
    FailErrno("connect");
  }
  return fd;
}

Fd Listen(uint16_t& port) {
  Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.is_open()) FailErrno("socket");
  sockaddr_in address = ParseAddress("127.0.0.1:0");
  socklen_t size = sizeof(address);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) FailErrno("bind");
  if (listen(fd.get(), kBacklog) != 0) FailErrno("listen");
  if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) FailErrno("getsockname");
  port = ntohs(address.sin_port);
  return fd;
}

}  // namespace bridge::bench
