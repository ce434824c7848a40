#pragma once

#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace bridge {

// Has files read again that may have changed (keys, secrets, certificates), every two seconds, on a thread of its own,
// because files block. What is wrong with one is logged.
class FileWatcher {
 public:
  // Costs little where nothing has changed; its error is told once, not at every call until it is mended.
  using Reload = std::function<absl::Status()>;

  FileWatcher() = default;
  ~FileWatcher();
  FileWatcher(const FileWatcher&) = delete;
  FileWatcher& operator=(const FileWatcher&) = delete;

  // What `reload` works on lives until Stop(). REQUIRES: not started.
  void Add(Reload reload) { reloads_.push_back(std::move(reload)); }

  // Does nothing where there are no files.
  void Start();

  // Nothing is called after it.
  void Stop();

 private:
  void Run();

  std::vector<Reload> reloads_;
  absl::Mutex mutex_;
  bool is_stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace bridge
