#include "bridge/file_watcher.h"

#include "absl/time/time.h"

#include "bridge/ops/logging.h"

namespace bridge {
namespace {

constexpr absl::Duration kInterval = absl::Seconds(2);

}  // namespace

FileWatcher::~FileWatcher() { Stop(); }

void FileWatcher::Start() {
  if (!reloads_.empty()) {
    thread_ = std::thread([this] { Run(); });
  }
}

void FileWatcher::Stop() {
  if (!thread_.joinable()) {
    return;
  }
  {
    const absl::MutexLock lock(&mutex_);
    is_stopping_ = true;
  }
  thread_.join();
}

void FileWatcher::Run() {
  while (true) {
    {
      const absl::MutexLock lock(&mutex_);
      if (mutex_.AwaitWithTimeout(absl::Condition(&is_stopping_), kInterval)) {
        return;
      }
    }
    for (const Reload& reload : reloads_) {
      if (const absl::Status status = reload(); !status.ok()) {
        ops::LogError("file_not_taken", {{"reason", status.message()}});
      }
    }
  }
}

}  // namespace bridge
