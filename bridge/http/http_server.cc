#include "bridge/http/http_server.h"

#include <algorithm>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <thread>
#include <utility>

#include "absl/synchronization/blocking_counter.h"

#include "bridge/base/status_macros.h"

namespace bridge::http {
namespace {

// What the kernel may hold for one client: a slow one costs this much and no more. The kernel doubles it for its own
// overhead.
constexpr int kSendBufferBytes = 64 << 10;

constexpr size_t kHandshakeThreadsMax = 4;

void SetSocketOptions(int fd, const ConnectionLimits& limits) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kSendBufferBytes, sizeof(kSendBufferBytes));
  // A client that vanished without a FIN is noticed when something sent has not been acknowledged for so long: later
  // than the hub ends a stream that takes nothing, which is then counted as what it is.
  const auto timeout_ms = static_cast<unsigned>(absl::ToInt64Milliseconds(2 * limits.send_timeout));
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
}

}  // namespace

HttpServer::HttpServer(loop::EventLoop* accept_loop, const std::vector<loop::EventLoop*>& loops, Dispatcher* dispatcher,
                       const ConnectionLimits& limits, const Cors* cors, const TlsContext* tls)
    : accept_loop_(accept_loop), limits_(limits) {
  for (loop::EventLoop* loop : loops) {
    contexts_.emplace_back(new ConnectionContext{.loop = loop,
                                                 .loop_index = contexts_.size(),
                                                 .dispatcher = dispatcher,
                                                 .limits = limits,
                                                 .metrics = &metrics_,
                                                 .cors = cors});
  }
  if (tls != nullptr) {
    const size_t threads = std::clamp<size_t>(std::thread::hardware_concurrency() / 2, 1, kHandshakeThreadsMax);
    handshakes_ = std::make_unique<TlsHandshakes>(
        tls, TlsHandshakes::Options{.threads = threads, .timeout = limits.head_timeout});
  }
  std::vector<ConnectionContext*> contexts;
  contexts.reserve(contexts_.size());
  for (const auto& context : contexts_) {
    contexts.push_back(context.get());
  }
  room_maker_ = std::make_unique<RoomMaker>(accept_loop_, std::move(contexts), handshakes_.get());
}

HttpServer::~HttpServer() {
  listener_ = nullptr;
  room_maker_ = nullptr;
  handshakes_ = nullptr;
  for (auto& context : contexts_) {
    if (context->loop == accept_loop_) {
      Connection::CloseAll(context.get());
      continue;
    }
    absl::BlockingCounter closed(1);
    context->loop->Post([&] {
      Connection::CloseAll(context.get());
      closed.DecrementCount();
    });
    closed.Wait();
  }
}

absl::Status HttpServer::Listen(const std::string& host, uint16_t port) {
  ASSIGN_OR_RETURN(listener_,
                   loop::Listener::Create(
                       accept_loop_, {.host = host, .port = port, .reserved_descriptors = limits_.reserved_descriptors},
                       [this](const std::vector<int>& fds) { Distribute(fds); }, [this] { MakeRoom(); }));
  return absl::OkStatus();
}

void HttpServer::MakeRoom() {
  accept_loop_->AssertOnLoop();
  room_maker_->Make([this](size_t closed) {
    if (listener_ != nullptr) {
      listener_->NoteRoom(closed);
    }
  });
}

void HttpServer::Distribute(const std::vector<int>& fds) {
  metrics_.accepted.Add(fds.size());
  std::vector<std::vector<int>> shares(contexts_.size());
  for (const int fd : fds) {
    SetSocketOptions(fd, limits_);
    shares[next_].push_back(fd);
    next_ = (next_ + 1) % contexts_.size();
  }
  for (size_t i = 0; i < shares.size(); ++i) {
    if (shares[i].empty()) {
      continue;
    }
    if (handshakes_ != nullptr) {
      handshakes_->Take(std::move(shares[i]), contexts_[i].get());
      continue;
    }
    contexts_[i]->loop->Post([context = contexts_[i].get(), share = std::move(shares[i])] {
      for (const int fd : share) {
        Connection::Start(context, Transport(fd));
      }
    });
  }
}

}  // namespace bridge::http
