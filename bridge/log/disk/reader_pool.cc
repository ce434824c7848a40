#include "bridge/log/disk/reader_pool.h"

#include <utility>

#include "bridge/log/inbox.h"

namespace bridge::log::disk {

ReaderPool::ReaderPool(size_t threads) {
  for (size_t i = 0; i < threads; ++i) {
    threads_.emplace_back([this] { Work(); });
  }
}

ReaderPool::~ReaderPool() { End(); }

void ReaderPool::Run(Task task) {
  {
    const absl::MutexLock lock(&mutex_);
    if (!is_ending_) {
      tasks_.push_back(std::move(task));
      return;
    }
  }
  task(Inbox::EndingError());
}

void ReaderPool::End() {
  {
    const absl::MutexLock lock(&mutex_);
    is_ending_ = true;
  }
  for (std::thread& thread : threads_) {
    thread.join();
  }
  threads_.clear();
  std::deque<Task> tasks;
  {
    const absl::MutexLock lock(&mutex_);
    tasks.swap(tasks_);
  }
  for (Task& task : tasks) {
    task(Inbox::EndingError());
  }
}

void ReaderPool::Work() {
  while (true) {
    Task task;
    {
      const absl::MutexLock lock(&mutex_);
      const auto has_work = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return is_ending_ || !tasks_.empty(); };
      mutex_.Await(absl::Condition(&has_work));
      if (is_ending_) {
        return;
      }
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task(absl::OkStatus());
  }
}

}  // namespace bridge::log::disk
