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

// A listening socket, and the accepting of its connections. It leaves some descriptors to others: no connection has one
// of the highest numbers. Out of descriptors it asks for room, and pauses where none is made: it neither spins nor
// gives up.
//
// Lives on its EventLoop.
class Listener final : private Watcher, private Timer {
 public:
  // Is called with the non-blocking sockets that have been accepted together, and owns them.
  using OnAccepted = absl::AnyInvocable<void(std::vector<int> fds)>;
  // Is called where no descriptors are left; NoteRoom is the answer, and has to come later. nullptr where nobody can
  // make room.
  using OnFull = absl::AnyInvocable<void()>;

  struct Options {
    // A name or an address.
    std::string host;
    // 0 for a free one.
    uint16_t port = 0;
    // Descriptors that are left to others; where the process may have fewer than 2,000, proportionally fewer.
    uint64_t reserved_descriptors = 0;
  };

  // FAILED_PRECONDITION: the address is taken. INVALID_ARGUMENT: it cannot be resolved or bound.
  static absl::StatusOr<std::unique_ptr<Listener>> Create(EventLoop* loop, const Options& options,
                                                          OnAccepted on_accepted, OnFull on_full);
  ~Listener() override;

  // So many descriptors have been given back.
  void NoteRoom(size_t descriptors);

  // "127.0.0.1:8080", with the port that was taken.
  const std::string& address() const { return address_; }

 private:
  Listener(EventLoop* loop, int fd, uint64_t reserved_descriptors, OnAccepted on_accepted, OnFull on_full);

  void OnReady(uint32_t events) override;
  void OnTimer() override;
  void Accept();
  // As accept does; EMFILE also where the descriptor would be one of the others'.
  int AcceptOne(uint64_t descriptors_max);
  void AskForRoom(int error);

  EventLoop* const loop_;
  const int fd_;
  const uint64_t reserved_descriptors_;
  OnAccepted on_accepted_;
  OnFull on_full_;
  std::string address_;
  // A connection that got a descriptor of the others', and waits for one of its own; -1 for none.
  int misplaced_fd_ = -1;
  bool is_asking_for_room_ = false;
  // Why it asks for room.
  int room_error_ = 0;
  ops::LogLimiter log_limiter_;
};

}  // namespace bridge::loop
