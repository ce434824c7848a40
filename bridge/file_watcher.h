#pragma once

#include <functional>
#include <semaphore>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"

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
  // Waited for on the monotonic clock. Timeouts of older Abseils are on the wall clock: set back, it would hold up the
  // files for as long.
  std::binary_semaphore stop_{0};
  std::thread thread_;
};

}  // namespace bridge
