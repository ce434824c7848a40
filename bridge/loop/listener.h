#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"

#include "bridge/loop/event_loop.h"
#include "bridge/ops/log_limiter.h"

namespace bridge::loop {

// A listening socket, and the accepting of its connections. Out of descriptors it pauses and goes on: it neither spins
// nor gives up.
//
// Lives on its EventLoop.
class Listener final : private Watcher, private Timer {
 public:
  // Is called with the non-blocking sockets that have been accepted together, and owns them.
  using OnAccepted = absl::AnyInvocable<void(std::vector<int> fds)>;

  // `host` is a name or an address; port 0 takes a free one.
  // FAILED_PRECONDITION: the address is taken. INVALID_ARGUMENT: it cannot be resolved or bound.
  static absl::StatusOr<std::unique_ptr<Listener>> Create(EventLoop* loop, const std::string& host, uint16_t port,
                                                          OnAccepted on_accepted);
  ~Listener() override;

  // "127.0.0.1:8080", with the port that was taken.
  const std::string& address() const { return address_; }

 private:
  Listener(EventLoop* loop, int fd, OnAccepted on_accepted);

  void OnReady(uint32_t events) override;
  void OnTimer() override;
  void Accept();

  EventLoop* const loop_;
  const int fd_;
  OnAccepted on_accepted_;
  std::string address_;
  ops::LogLimiter log_limiter_;
};

}  // namespace bridge::loop
