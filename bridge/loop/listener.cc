#include "bridge/loop/listener.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "bridge/ops/logging.h"

namespace bridge::loop {
namespace {

constexpr int kBacklog = 4096;
constexpr size_t kAcceptedTogetherMax = 64;
constexpr auto kPauseWithoutDescriptors = std::chrono::milliseconds(100);

std::string AddressOf(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> port{};
  auto* const address = reinterpret_cast<sockaddr*>(&storage);
  if (getsockname(fd, address, &size) != 0 || getnameinfo(address, size, host.data(), host.size(), port.data(),
                                                          port.size(), NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "unknown";
  }
  const bool is_v6 = storage.ss_family == AF_INET6;
  return absl::StrCat(is_v6 ? "[" : "", host.data(), is_v6 ? "]:" : ":", port.data());
}

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> Listener::Create(EventLoop* loop, const std::string& host, uint16_t port,
                                                           OnAccepted on_accepted) {
  loop->AssertOnLoop();
  const std::string shown = absl::StrCat(absl::StrContains(host, ":") ? absl::StrCat("[", host, "]") : host, ":", port);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), absl::StrCat(port).c_str(), &hints, &found); error != 0) {
    return absl::InvalidArgumentError(absl::StrCat("cannot listen on ", shown, ": ", gai_strerror(error)));
  }
  const absl::Cleanup free_found = [found] { freeaddrinfo(found); };

  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot listen on ", shown));
  }
  const int on = 1;
  const int off = 0;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (found->ai_family == AF_INET6) {
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  }
  if (bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, kBacklog) != 0) {
    const int error = errno;
    close(fd);
    const std::string text = absl::StrCat("cannot listen on ", shown, ": ", std::strerror(error));
    return error == EADDRINUSE ? absl::FailedPreconditionError(text) : absl::InvalidArgumentError(text);
  }
  auto listener = std::unique_ptr<Listener>(new Listener(loop, fd, std::move(on_accepted)));
  if (const absl::Status watched = loop->Watch(fd, listener.get()); !watched.ok()) {
    return watched;
  }
  return listener;
}

Listener::Listener(EventLoop* loop, int fd, OnAccepted on_accepted)
    : loop_(loop),
      fd_(fd),
      on_accepted_(std::move(on_accepted)),
      address_(AddressOf(fd)),
      log_limiter_(absl::Seconds(10)) {}

Listener::~Listener() {
  loop_->AssertOnLoop();
  loop_->Cancel(*this);
  loop_->Unwatch(fd_, this);
  close(fd_);
}

void Listener::OnReady(uint32_t /*events*/) { Accept(); }

void Listener::OnTimer() { Accept(); }

void Listener::Accept() {
  loop_->AssertOnLoop();
  std::vector<int> fds;
  const auto hand_over = [&] {
    if (!fds.empty()) {
      on_accepted_(std::exchange(fds, {}));
    }
  };
  while (true) {
    const int fd = accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      fds.push_back(fd);
      if (fds.size() == kAcceptedTogetherMax) {
        hand_over();
      }
      continue;
    }
    const int error = errno;
    if (error == EAGAIN) {
      break;
    }
    if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) {
      // The connection stays in the backlog; as the socket is edge-triggered, only the timer asks again.
      if (const auto suppressed = log_limiter_.Admit()) {
        ops::LogWarn("accept_paused", {{"address", address_},
                                       {"error", std::strerror(error)},
                                       {"fix", "raise the limit of open files (ulimit -n)"},
                                       {"suppressed", *suppressed}});
      }
      loop_->Schedule(*this, kPauseWithoutDescriptors);
      break;
    }
    // Anything else (ECONNABORTED, EPERM by a firewall, a network error of that connection) is that one connection's.
  }
  hand_over();
}

}  // namespace bridge::loop
