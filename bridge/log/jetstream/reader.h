#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"

#include "bridge/log/event_log.h"
#include "bridge/log/jetstream/link.h"
#include "bridge/log/jetstream/options.h"
#include "bridge/log/jetstream/page_reader.h"

namespace bridge::log::jetstream {

// Answers Read and GetBounds by a fixed pool of threads.
class Reader {
 public:
  Reader(const JetStreamOptions& options, Link* link);
  // Answers what waits with UNAVAILABLE. REQUIRES: the link has ended.
  ~Reader();
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  void Read(const EventLog::ReadOptions& options, EventLog::ReadCallback done);
  void GetBounds(EventLog::BoundsCallback done);

 private:
  // Called with the number of the thread that answers, or with none at the end.
  using Question = absl::AnyInvocable<void(std::optional<size_t>)>;

  void Ask(Question question);
  void Run(size_t index);

  PageReader pages_;

  absl::Mutex mutex_;
  bool is_ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<Question> questions_ ABSL_GUARDED_BY(mutex_);

  std::array<std::thread, kReaders> threads_;
};

}  // namespace bridge::log::jetstream
