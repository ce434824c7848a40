#include "bridge/loop/listener.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <system_error>
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

// Below this limit of open files fewer are reserved, in proportion.
constexpr uint64_t kDescriptorsMany = 2000;

// All descriptors that connections may have are below it. The limit may be changed while the process runs.
uint64_t DescriptorsMax(uint64_t reserved) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur - reserved * std::min<uint64_t>(limit.rlim_cur, kDescriptorsMany) / kDescriptorsMany;
}

bool IsFull(int error) { return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM; }

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> Listener::Create(EventLoop* loop, const Options& options,
                                                           OnAccepted on_accepted, OnFull on_full) {
  loop->AssertOnLoop();
  const auto& [host, port, reserved_descriptors] = options;
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
    const std::string text = absl::StrCat("cannot listen on ", shown, ": ", std::generic_category().message(error));
    return error == EADDRINUSE ? absl::FailedPreconditionError(text) : absl::InvalidArgumentError(text);
  }
  auto listener = std::unique_ptr<Listener>(
      new Listener(loop, fd, reserved_descriptors, std::move(on_accepted), std::move(on_full)));
  if (absl::Status watched = loop->Watch(fd, listener.get()); !watched.ok()) {
    return watched;
  }
  return listener;
}

Listener::Listener(EventLoop* loop, int fd, uint64_t reserved_descriptors, OnAccepted on_accepted, OnFull on_full)
    : loop_(loop),
      fd_(fd),
      reserved_descriptors_(reserved_descriptors),
      on_accepted_(std::move(on_accepted)),
      on_full_(std::move(on_full)),
      address_(AddressOf(fd)),
      log_limiter_(absl::Seconds(10)) {}

Listener::~Listener() {
  loop_->AssertOnLoop();
  loop_->Cancel(*this);
  loop_->Unwatch(fd_, this);
  close(fd_);
  if (misplaced_fd_ >= 0) {
    close(misplaced_fd_);
  }
}

void Listener::OnReady(uint32_t /*events*/) {
  if (!is_asking_for_room_ && !is_scheduled()) {
    Accept();
  }
}

void Listener::OnTimer() { Accept(); }

void Listener::Accept() {
  loop_->AssertOnLoop();
  std::vector<int> fds;
  const auto hand_over = [&] {
    if (!fds.empty()) {
      on_accepted_(std::exchange(fds, {}));
    }
  };
  const uint64_t descriptors_max = DescriptorsMax(reserved_descriptors_);
  while (true) {
    const int fd = AcceptOne(descriptors_max);
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
    if (IsFull(error)) {
      hand_over();
      AskForRoom(error);
      return;
    }
    // Anything else (ECONNABORTED, EPERM by a firewall, a network error of that connection) is that one connection's.
  }
  hand_over();
}

int Listener::AcceptOne(uint64_t descriptors_max) {
  int fd = std::exchange(misplaced_fd_, -1);
  if (fd < 0) {
    fd = accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  }
  if (fd < 0 || std::cmp_less(fd, descriptors_max)) {
    return fd;
  }
  const int better = fcntl(fd, F_DUPFD_CLOEXEC, 0);  // the lowest that is free
  if (better >= 0 && std::cmp_less(better, descriptors_max)) {
    close(fd);
    return better;
  }
  if (better >= 0) {
    close(better);
  }
  misplaced_fd_ = fd;
  errno = EMFILE;
  return -1;
}

// The connections stay in the backlog; as the socket is edge-triggered, only NoteRoom and the timer accept again.
void Listener::AskForRoom(int error) {
  is_asking_for_room_ = true;
  room_error_ = error;
  if (on_full_ != nullptr) {
    on_full_();
  } else {
    NoteRoom(0);
  }
}

void Listener::NoteRoom(size_t descriptors) {
  loop_->AssertOnLoop();
  is_asking_for_room_ = false;
  if (const auto suppressed = log_limiter_.Admit()) {
    ops::LogWarn(descriptors > 0 ? "connections_gave_way" : "accept_paused",
                 {{"address", address_},
                  {"error", std::generic_category().message(room_error_)},
                  {"fix", "raise the limit of open files (ulimit -n)"},
                  {"suppressed", *suppressed}});
  }
  if (descriptors > 0) {
    Accept();
  } else {
    loop_->Schedule(*this, kPauseWithoutDescriptors);
  }
}

}  // namespace bridge::loop
