#include "tests/support/fault_proxy.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "absl/time/clock.h"

namespace bridge::test {
namespace {

// What is read ahead for a side that does not take it.
constexpr size_t kQueueBytesMax = size_t{1} << 20;

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int NewSocket() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return fd;
}

void Reset(int fd) {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  close(fd);
}

}  // namespace

struct FaultProxy::Connection {
  // The bytes on their way from one side to the other.
  struct Pipe {
    struct Piece {
      absl::Time due;
      std::string bytes;
    };

    Pipe(int from_fd, int to_fd) : from(from_fd), to(to_fd) {}

    const int from;
    const int to;
    std::deque<Piece> pieces;
    size_t bytes = 0;
    bool has_ended = false;    // the sender sends nothing more
    bool has_told_it = false;  // and the receiver knows

    absl::Time due() const { return pieces.empty() ? absl::InfiniteFuture() : pieces.front().due; }
    bool Read(absl::Time arrives);
    bool Write(absl::Time now);
  };

  Connection(int client, int target) : pipes{Pipe(client, target), Pipe(target, client)} {}
  ~Connection() {
    for (const Pipe& pipe : pipes) {
      is_over() ? static_cast<void>(close(pipe.from)) : Reset(pipe.from);
    }
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  bool is_over() const { return pipes[0].has_told_it && pipes[1].has_told_it; }

  std::array<Pipe, 2> pipes;
};

// False where the connection is broken.
bool FaultProxy::Connection::Pipe::Read(absl::Time arrives) {
  std::array<char, 65536> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): it is written to first
  const ssize_t received = recv(from, buffer.data(), buffer.size(), 0);
  if (received < 0) {
    return errno == EAGAIN || errno == EINTR;
  }
  has_ended = received == 0;
  if (received > 0) {
    pieces.push_back({.due = arrives, .bytes = std::string(buffer.data(), static_cast<size_t>(received))});
    bytes += static_cast<size_t>(received);
  }
  return true;
}

bool FaultProxy::Connection::Pipe::Write(absl::Time now) {
  while (due() <= now) {
    std::string& front = pieces.front().bytes;
    const ssize_t sent = send(to, front.data(), front.size(), MSG_NOSIGNAL);
    if (sent < 0) {
      return errno == EAGAIN || errno == EINTR;
    }
    bytes -= static_cast<size_t>(sent);
    front.erase(0, static_cast<size_t>(sent));
    if (front.empty()) {
      pieces.pop_front();
    }
  }
  if (has_ended && pieces.empty() && !has_told_it) {
    shutdown(to, SHUT_WR);
    has_told_it = true;
  }
  return true;
}

FaultProxy::FaultProxy(uint16_t target_port)
    : target_port_(target_port), listener_fd_(NewSocket()), wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  if (bind(listener_fd_, reinterpret_cast<const sockaddr*>(&address), size) != 0 || listen(listener_fd_, 1024) != 0 ||
      getsockname(listener_fd_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    std::perror("fault proxy");
    std::abort();
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { Run(); });
}

FaultProxy::~FaultProxy() {
  Tell([](Orders* orders) { orders->is_ending = true; });
  thread_.join();
  close(listener_fd_);
  close(wake_fd_);
}

void FaultProxy::SetTraffic(Traffic traffic) {
  Tell([traffic](Orders* orders) { orders->traffic = traffic; });
}

void FaultProxy::SetDelay(absl::Duration delay) {
  Tell([delay](Orders* orders) { orders->delay = delay; });
}

void FaultProxy::Cut() {
  Tell([](Orders* orders) { orders->is_cut = true; });
}

void FaultProxy::Tell(absl::FunctionRef<void(Orders*)> change) {
  const absl::MutexLock lock(&mutex_);
  change(&orders_);
  const uint64_t mine = ++told_;
  eventfd_write(wake_fd_, 1);
  const auto is_done = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return done_ >= mine; };
  mutex_.Await(absl::Condition(&is_done));
}

void FaultProxy::Run() {
  while (true) {
    Orders orders;
    {
      const absl::MutexLock lock(&mutex_);
      orders = orders_;
      orders_.is_cut = false;
      if (orders.is_cut || orders.is_ending || orders.traffic == Traffic::kRefused) {
        connections_.clear();
      }
      done_ = told_;
    }
    if (orders.is_ending) {
      return;
    }
    Forward(orders);
  }
}

void FaultProxy::Forward(const Orders& orders) {
  const bool passes = orders.traffic == Traffic::kPasses;
  std::vector<pollfd> ready = {{.fd = wake_fd_, .events = POLLIN, .revents = 0},
                               {.fd = listener_fd_, .events = POLLIN, .revents = 0}};
  absl::Time next = absl::InfiniteFuture();
  const absl::Time before = absl::Now();
  for (const auto& connection : connections_) {
    for (const Connection::Pipe& pipe : connection->pipes) {
      const bool reads = passes && !pipe.has_ended && pipe.bytes < kQueueBytesMax;
      const bool writes = passes && pipe.due() <= before;
      ready.push_back({.fd = reads ? pipe.from : -1, .events = POLLIN, .revents = 0});
      ready.push_back({.fd = writes ? pipe.to : -1, .events = POLLOUT, .revents = 0});
      if (passes && !writes) {
        next = std::min(next, pipe.due());
      }
    }
  }
  const timespec patience = absl::ToTimespec(std::clamp(next - before, absl::ZeroDuration(), absl::Seconds(1)));
  ppoll(ready.data(), ready.size(), &patience, nullptr);

  eventfd_t wakes = 0;
  eventfd_read(wake_fd_, &wakes);
  const absl::Time now = absl::Now();
  size_t at = 2;
  for (auto it = connections_.begin(); it != connections_.end();) {
    bool is_whole = true;
    for (Connection::Pipe& pipe : (*it)->pipes) {
      if (ready[at].revents != 0) {
        is_whole = is_whole && pipe.Read(now + orders.delay);
      }
      if (passes) {
        is_whole = is_whole && pipe.Write(now);
      }
      at += 2;
    }
    it = is_whole && !(*it)->is_over() ? std::next(it) : connections_.erase(it);
  }
  if (ready[1].revents != 0) {
    Accept();
  }
}

void FaultProxy::Accept() {
  const int client = accept4(listener_fd_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (client < 0) {
    return;
  }
  const int on = 1;
  setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  const int target = NewSocket();
  const sockaddr_in address = Loopback(target_port_);
  if (connect(target, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 && errno != EINPROGRESS) {
    close(target);
    Reset(client);
    return;
  }
  connections_.push_back(std::make_unique<Connection>(client, target));
}

}  // namespace bridge::test
