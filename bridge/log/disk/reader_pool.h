#pragma once

#include <cstddef>
#include <deque>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace bridge::log::disk {

// A few threads that wait for the disk in others' stead. Thread-safe.
class ReaderPool {
 public:
  // Called with OK on one of the threads, or with why it does not get its turn.
  using Task = absl::AnyInvocable<void(const absl::Status&)>;

  explicit ReaderPool(size_t threads);
  ~ReaderPool();
  ReaderPool(const ReaderPool&) = delete;
  ReaderPool& operator=(const ReaderPool&) = delete;

  void Run(Task task);

  // Lets the tasks that run end, and calls the others with UNAVAILABLE, as those that come later.
  void End();

 private:
  void Work();

  absl::Mutex mutex_;
  bool is_ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<Task> tasks_ ABSL_GUARDED_BY(mutex_);

  std::vector<std::thread> threads_;
};

}  // namespace bridge::log::disk
