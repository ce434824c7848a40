#include "bridge/rpc/connection_handover.h"

#include <unistd.h>
#include <utility>

namespace bridge::rpc {

ConnectionHandover::~ConnectionHandover() {
  std::vector<std::thread> threads;
  {
    const absl::MutexLock lock(&mutex_);
    is_ending_ = true;
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  const absl::MutexLock lock(&mutex_);
  for (const int fd : waiting_) {
    close(fd);
  }
}

void ConnectionHandover::Take(const std::vector<int>& fds) {
  const absl::MutexLock lock(&mutex_);
  waiting_.insert(waiting_.end(), fds.begin(), fds.end());
  while (idle_ < waiting_.size() && threads_.size() < kThreadsMax) {
    threads_.emplace_back([this] { Run(); });
    ++idle_;
  }
}

void ConnectionHandover::Run() {
  while (true) {
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
    {
      const absl::MutexLock lock(&mutex_);
      const auto has_work = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return is_ending_ || !waiting_.empty(); };
      mutex_.Await(absl::Condition(&has_work));
      if (is_ending_) {
        return;
      }
      connection.fd = waiting_.front();
      waiting_.pop_front();
      --idle_;
    }
    acceptor_->HandleNewConnection(&connection);
    const absl::MutexLock lock(&mutex_);
    ++idle_;
  }
}

}  // namespace bridge::rpc
