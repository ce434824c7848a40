#include "bridge/rpc/connection_guard.h"

#include <algorithm>
#include <arpa/inet.h>
#include <atomic>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include "absl/strings/str_cat.h"

#include "bridge/ops/logging.h"

namespace bridge::rpc {
namespace {

// The connections that one Check looks at, in turn.
constexpr size_t kLooksMax = 64;

// States of a socket in which it is open; <netinet/tcp.h>, which names them, has not all of tcp_info.
constexpr uint8_t kEstablished = 1;
constexpr uint8_t kCloseWait = 8;

// What gRPC calls the other end of this socket; empty where there is none any more.
std::string PeerOf(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) {
    return "";
  }
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (storage.ss_family == AF_INET) {
    const auto& address = reinterpret_cast<const sockaddr_in&>(storage);
    inet_ntop(AF_INET, &address.sin_addr, text.data(), text.size());
    return absl::StrCat("ipv4:", text.data(), ":", ntohs(address.sin_port));
  }
  const auto& address = reinterpret_cast<const sockaddr_in6&>(storage);
  if (IN6_IS_ADDR_V4MAPPED(&address.sin6_addr)) {
    inet_ntop(AF_INET, &address.sin6_addr.s6_addr[12], text.data(), text.size());
    return absl::StrCat("ipv4:", text.data(), ":", ntohs(address.sin6_port));
  }
  inet_ntop(AF_INET6, &address.sin6_addr, text.data(), text.size());
  return absl::StrCat("ipv6:%5B", text.data(), "%5D:", ntohs(address.sin6_port));
}

}  // namespace

struct ConnectionGuard::Connection {
  Connection(int own_fd, std::string own_peer, base::MonotonicTime now)
      : fd(own_fd), peer(std::move(own_peer)), forgiven(now) {}
  ~Connection() { close(fd); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // The socket is gRPC's; this is a descriptor of its own for it, so that its number stays this connection's.
  const int fd;
  const std::string peer;

  // Relaxed, all: they count, and order nothing.
  std::atomic<uint64_t> open_calls{0};
  std::atomic<uint64_t> wasted_calls{0};
  std::atomic<bool> is_publishers{false};
  std::atomic<bool> is_cut{false};

  // For Check only: what had been sent, what had been received when that was first seen, and what has been since.
  uint64_t sent = 0;
  uint64_t received_then = 0;
  uint64_t bytes = 0;
  // When it was last forgiven some of its wasted calls.
  base::MonotonicTime forgiven;
};

absl::string_view ConnectionGuard::NameOf(Reason reason) {
  constexpr std::array<absl::string_view, kReasons> kNames = {"open_calls", "wasted_calls", "bytes"};
  return kNames[reason];
}

ConnectionGuard::~ConnectionGuard() = default;

void ConnectionGuard::Add(int fd, base::MonotonicTime now) {
  std::string peer = PeerOf(fd);
  const int own_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (own_fd < 0 || peer.empty()) {
    close(own_fd);
    return;
  }
  auto connection = std::make_shared<Connection>(own_fd, std::move(peer), now);
  watched_.push_back(connection);
  metrics_.open.Add(1);
  metrics_.accepted.Add(1);
  const absl::MutexLock lock(&mutex_);
  by_peer_.insert_or_assign(connection->peer, std::move(connection));
}

void ConnectionGuard::Check(base::MonotonicTime now) {
  for (size_t looks = std::min(kLooksMax, watched_.size()); looks > 0; --looks) {
    next_ = next_ < watched_.size() ? next_ : 0;
    if (Look(*watched_[next_], now)) {
      ++next_;
    } else {
      Forget(next_);
    }
  }
  if (bytes_ > limits_.bytes_max_total) {
    const auto most = std::max_element(watched_.begin(), watched_.end(),
                                       [](const auto& a, const auto& b) { return a->bytes < b->bytes; });
    Cut(**most, kBytes);
  }
}

bool ConnectionGuard::Look(Connection& connection, base::MonotonicTime now) {
  tcp_info info{};
  socklen_t size = sizeof(info);
  if (getsockopt(connection.fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 ||
      (info.tcpi_state != kEstablished && info.tcpi_state != kCloseWait)) {
    return false;
  }
  if (info.tcpi_bytes_sent != connection.sent) {
    connection.sent = info.tcpi_bytes_sent;
    connection.received_then = info.tcpi_bytes_received;
  }
  bytes_ -= connection.bytes;
  connection.bytes = info.tcpi_bytes_received - connection.received_then;
  bytes_ += connection.bytes;
  const bool is_publishers = connection.is_publishers.load(std::memory_order_relaxed);
  if (connection.bytes > (is_publishers ? limits_.publisher_bytes_max : limits_.stranger_bytes_max)) {
    Cut(connection, kBytes);
  }
  if (now - connection.forgiven >= std::chrono::seconds(1)) {
    connection.forgiven = now;
    const uint64_t wasted = connection.wasted_calls.load(std::memory_order_relaxed);
    connection.wasted_calls.fetch_sub(std::min(wasted, limits_.wasted_calls_per_second), std::memory_order_relaxed);
  }
  return true;
}

void ConnectionGuard::Forget(size_t index) {
  std::swap(watched_[index], watched_.back());
  const std::shared_ptr<Connection> gone = std::move(watched_.back());
  watched_.pop_back();
  bytes_ -= gone->bytes;
  metrics_.open.Sub(1);
  const absl::MutexLock lock(&mutex_);
  // Another one may have come from the same address and port.
  if (const auto found = by_peer_.find(gone->peer); found != by_peer_.end() && found->second == gone) {
    by_peer_.erase(found);
  }
}

std::shared_ptr<ConnectionGuard::Connection> ConnectionGuard::Find(const std::string& peer) {
  const absl::MutexLock lock(&mutex_);
  const auto found = by_peer_.find(peer);
  return found == by_peer_.end() ? nullptr : found->second;
}

std::shared_ptr<ConnectionGuard::Call> ConnectionGuard::Begin(const std::string& peer) {
  return std::make_shared<Call>(this, Find(peer));
}

void ConnectionGuard::NoteForeignCall(const std::string& peer) {
  if (const std::shared_ptr<Connection> connection = Find(peer)) {
    NoteWasted(*connection);
  }
}

void ConnectionGuard::NoteWasted(Connection& connection) {
  if (connection.wasted_calls.fetch_add(1, std::memory_order_relaxed) >= limits_.wasted_calls_max) {
    Cut(connection, kWastedCalls);
  }
}

void ConnectionGuard::Cut(Connection& connection, Reason reason) {
  if (connection.is_cut.exchange(true, std::memory_order_relaxed)) {
    return;
  }
  // Resets it, and drops what has been received and not been read: gRPC finds an error, and nothing before that.
  sockaddr nobody{};
  nobody.sa_family = AF_UNSPEC;
  static_cast<void>(connect(connection.fd, &nobody, sizeof(nobody)));
  metrics_.cut[reason].Add(1);
  if (const auto suppressed = lines_.Admit()) {
    ops::LogWarn("publisher_connection_cut", {{"peer", connection.peer},
                                              {"reason", NameOf(reason)},
                                              {"open_calls", connection.open_calls.load(std::memory_order_relaxed)},
                                              {"suppressed", *suppressed}});
  }
}

ConnectionGuard::Call::Call(ConnectionGuard* guard, std::shared_ptr<Connection> connection)
    : guard_(guard), connection_(std::move(connection)) {
  if (connection_ == nullptr) {
    return;
  }
  if (connection_->open_calls.fetch_add(1, std::memory_order_relaxed) >= guard_->limits_.open_calls_max) {
    guard_->Cut(*connection_, kOpenCalls);
  }
}

ConnectionGuard::Call::~Call() {
  if (connection_ != nullptr) {
    connection_->open_calls.fetch_sub(1, std::memory_order_relaxed);
  }
}

void ConnectionGuard::Call::NoteLetIn() {
  if (connection_ != nullptr) {
    connection_->is_publishers.store(true, std::memory_order_relaxed);
  }
}

void ConnectionGuard::Call::NoteGivenUp() {
  if (connection_ != nullptr) {
    guard_->NoteWasted(*connection_);
  }
}

}  // namespace bridge::rpc
