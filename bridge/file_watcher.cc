#include "bridge/file_watcher.h"

#include <chrono>

#include "bridge/ops/logging.h"

namespace bridge {
namespace {

constexpr auto kInterval = std::chrono::seconds(2);

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
  stop_.release();
  thread_.join();
}

void FileWatcher::Run() {
  while (!stop_.try_acquire_for(kInterval)) {
    for (const Reload& reload : reloads_) {
      if (const absl::Status status = reload(); !status.ok()) {
        ops::LogError("file_not_taken", {{"reason", status.message()}});
      }
    }
  }
}

}  // namespace bridge
