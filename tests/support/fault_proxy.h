#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace bridge::test {

// A TCP proxy to a port of 127.0.0.1 that does to its connections what networks do: cuts, refuses, holds and delays.
//
//   FaultProxy proxy(server_port);
//   ... connect to proxy.port() ...
//   proxy.SetTraffic(FaultProxy::Traffic::kHeld);
//
// Thread-safe. Owns a thread. What is set holds for everything that happens after the call has returned.
class FaultProxy {
 public:
  enum class Traffic {
    kPasses,
    kRefused,  // connections are reset, those that there are and each new one at once
    kHeld,     // nothing arrives on either side, and nothing is lost: it passes later
  };

  explicit FaultProxy(uint16_t target_port);
  ~FaultProxy();
  FaultProxy(const FaultProxy&) = delete;
  FaultProxy& operator=(const FaultProxy&) = delete;

  uint16_t port() const { return port_; }

  void SetTraffic(Traffic traffic);
  // Every byte arrives so much later, in either direction.
  void SetDelay(absl::Duration delay);
  // Resets the connections that there are.
  void Cut();

 private:
  struct Connection;

  // What the thread has been told.
  struct Orders {
    Traffic traffic = Traffic::kPasses;
    absl::Duration delay;
    bool is_cut = false;
    bool is_ending = false;
  };

  // Changes the orders, wakes the thread, and waits until it has done as it was told.
  void Tell(absl::FunctionRef<void(Orders*)> change);
  Orders TakeOrders();

  // --- On its thread.

  void Run();
  // Waits until a socket is ready or something is due, and moves the bytes.
  void Forward(const Orders& orders);
  void Accept();

  const uint16_t target_port_;
  int listener_fd_ = -1;
  int wake_fd_ = -1;
  uint16_t port_ = 0;
  std::list<std::unique_ptr<Connection>> connections_;

  absl::Mutex mutex_;
  Orders orders_ ABSL_GUARDED_BY(mutex_);
  uint64_t told_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t done_ ABSL_GUARDED_BY(mutex_) = 0;

  std::thread thread_;
};

}  // namespace bridge::test
