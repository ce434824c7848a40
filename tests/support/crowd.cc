#include "tests/support/crowd.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/match.h"

namespace bridge::test {
namespace {

// The search for a free port becomes slow with more connections of one address.
constexpr size_t kConnectionsOfAddress = 5000;
constexpr size_t kFirstBytesMax = 256;
// For everything but the crowd, here and in the bridge.
constexpr size_t kReservedDescriptors = 500;

// Of the network 127.0.0.0/8, from 127.0.0.2 on.
sockaddr_in LoopbackAddress(size_t index, uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + static_cast<uint32_t>(index));
  return address;
}

int Connect(size_t index, const Crowd::Options& options) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    std::perror("socket");
    std::abort();
  }
  const int on = 1;
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &options.receive_buffer_bytes, sizeof(options.receive_buffer_bytes));
  const sockaddr_in from = LoopbackAddress(1 + index / kConnectionsOfAddress, 0);
  const sockaddr_in to = LoopbackAddress(0, options.port);
  static_cast<void>(bind(fd, reinterpret_cast<const sockaddr*>(&from), sizeof(from)));
  if (connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

}  // namespace

Crowd::Crowd(const Options& options) : members_(options.size) {
  for (size_t i = 0; i < members_.size(); ++i) {
    members_[i].fd = Connect(i, options);
    members_[i].has_ended = members_[i].fd < 0;
  }
}

Crowd::~Crowd() {
  for (const Member& member : members_) {
    if (member.fd >= 0) {
      const linger at_once{.l_onoff = 1, .l_linger = 0};  // no TIME_WAIT
      setsockopt(member.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
      close(member.fd);
    }
  }
}

size_t Crowd::SizeWithin(size_t wanted) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;  // as the bridge does for itself
  setrlimit(RLIMIT_NOFILE, &limit);
  const size_t allowed = limit.rlim_max - std::min<size_t>(limit.rlim_max, kReservedDescriptors);
  if (allowed < wanted) {
    std::printf("%zu connections, not %zu: the hard limit of open files is %zu\n", allowed, wanted,
                static_cast<size_t>(limit.rlim_max));
  }
  return std::min(wanted, allowed);
}

size_t Crowd::Send(absl::string_view bytes) {
  size_t sum = 0;
  for (const Member& member : members_) {
    if (member.has_ended) {
      continue;
    }
    const ssize_t sent = send(member.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      sum += static_cast<size_t>(sent);
    }
  }
  return sum;
}

void Crowd::Receive(size_t bytes_max) {
  std::array<char, 65536> buffer = {};
  for (Member& member : members_) {
    if (member.has_ended) {
      continue;
    }
    const ssize_t received = recv(member.fd, buffer.data(), std::min(bytes_max, buffer.size()), MSG_DONTWAIT);
    if (received > 0) {
      const size_t room = kFirstBytesMax - member.first_bytes.size();
      member.first_bytes.append(buffer.data(), std::min(room, static_cast<size_t>(received)));
    } else {
      member.has_ended = received == 0 || (errno != EAGAIN && errno != EINTR);
    }
  }
}

size_t Crowd::ended() const {
  return static_cast<size_t>(
      std::count_if(members_.begin(), members_.end(), [](const Member& member) { return member.has_ended; }));
}

size_t Crowd::CountAnswered(absl::string_view start) const {
  return static_cast<size_t>(std::count_if(members_.begin(), members_.end(), [&](const Member& member) {
    return absl::StartsWith(member.first_bytes, start);
  }));
}

}  // namespace bridge::test
