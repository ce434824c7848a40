#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"

#include "bridge/http/connection.h"
#include "bridge/http/dispatcher.h"
#include "bridge/http/room_maker.h"
#include "bridge/http/tls_handshakes.h"
#include "bridge/loop/event_loop.h"
#include "bridge/loop/listener.h"

namespace bridge::http {

// Accepts connections on one loop and hands them, in turn, to the loops that serve them. Where no descriptors are left,
// connections that wait for their clients give way to new ones.
//
// Lives on `accept_loop`. The loops, the dispatcher and the TLS context outlive it; on destruction the loops must run,
// and its connections are closed.
class HttpServer {
 public:
  // `cors` for answers that no handler gives. With `tls` connections are TLS, else plain.
  HttpServer(loop::EventLoop* accept_loop, const std::vector<loop::EventLoop*>& loops, Dispatcher* dispatcher,
             const ConnectionLimits& limits, const Cors* cors = nullptr, const TlsContext* tls = nullptr);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  absl::Status Listen(const std::string& host, uint16_t port);
  // The address that is listened on. REQUIRES: Listen was OK.
  const std::string& address() const { return listener_->address(); }

  void StopListening() { listener_ = nullptr; }

  const ConnectionMetrics& metrics() const { return metrics_; }
  // nullptr where connections are plain.
  const TlsHandshakes* handshakes() const { return handshakes_.get(); }

 private:
  void Distribute(const std::vector<int>& fds);
  void MakeRoom();

  loop::EventLoop* const accept_loop_;
  const ConnectionLimits limits_;
  ConnectionMetrics metrics_;
  // Each is used on its own loop only.
  std::vector<std::unique_ptr<ConnectionContext>> contexts_;
  std::unique_ptr<TlsHandshakes> handshakes_;
  std::unique_ptr<RoomMaker> room_maker_;
  size_t next_ = 0;
  std::unique_ptr<loop::Listener> listener_;
};

}  // namespace bridge::http
