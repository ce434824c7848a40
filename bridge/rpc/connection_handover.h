#pragma once

#include <cstddef>
#include <deque>
#include <thread>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace bridge::rpc {

// Hands connections over to gRPC on threads of its own: what a client sends at first gRPC reads on the thread that
// brings the connection, for as long as more is there. So none of these threads is needed by another connection, up to
// a bound that only clients which all send without a pause come near.
//
// Thread-safe.
class ConnectionHandover {
 public:
  static constexpr size_t kThreadsMax = 32;

  explicit ConnectionHandover(grpc::experimental::ExternalConnectionAcceptor* acceptor) : acceptor_(acceptor) {}
  // Closes what has not been handed over. REQUIRES: the server has shut down, so that the threads come back.
  ~ConnectionHandover();
  ConnectionHandover(const ConnectionHandover&) = delete;
  ConnectionHandover& operator=(const ConnectionHandover&) = delete;

  // Owns the sockets. Never waits.
  void Take(const std::vector<int>& fds);

 private:
  void Run();

  grpc::experimental::ExternalConnectionAcceptor* const acceptor_;

  absl::Mutex mutex_;
  bool is_ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<int> waiting_ ABSL_GUARDED_BY(mutex_);
  // Threads that have no connection to bring.
  size_t idle_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bridge::rpc
