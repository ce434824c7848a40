#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

#include "bridge/base/clock.h"
#include "bridge/base/metric.h"
#include "bridge/ops/log_limiter.h"

namespace bridge::rpc {

// So many events and bytes a second for each publisher, over all of its streams and calls; what it leaves within a
// second it may have at once. Thread-safe.
class RateLimiter {
 public:
  // 0: no limit.
  struct Limits {
    uint64_t events_per_second = 0;
    uint64_t bytes_per_second = 0;
  };

  // What one publisher may still have. Thread-safe.
  class Allowance {
   public:
    Allowance(const Limits& limits, base::MonotonicTime now);

    // Takes for a request that has been read, also more than there is.
    void Take(uint64_t events, uint64_t bytes, base::MonotonicTime now);
    // How long until there is some; zero where there is.
    base::MonotonicClock::duration Wait(base::MonotonicTime now) const;
    // It is as if nothing had ever been taken.
    bool IsWhole(base::MonotonicTime now) const;

   private:
    // An allowance that is used up until a time, and one second later is whole.
    struct Bucket {
      uint64_t per_second;
      base::MonotonicTime used_until;

      void Take(uint64_t amount, base::MonotonicTime now);
    };

    mutable absl::Mutex mutex_;
    Bucket events_ ABSL_GUARDED_BY(mutex_);
    Bucket bytes_ ABSL_GUARDED_BY(mutex_);
  };

  // Publishers that are told apart; beyond them the newest share an allowance. More are there only where somebody makes
  // tokens for as many subjects, within the time that the allowances take to be whole again.
  static constexpr size_t kPublishersMax = 100'000;

  explicit RateLimiter(const Limits& limits) : limits_(limits) {}

  // nullptr where there is no limit. `publisher` is a PublisherIdentity's name.
  std::shared_ptr<Allowance> Of(const std::string& publisher, base::MonotonicTime now);

  // A publisher was held up, or its events were rejected.
  void NoteLimited(absl::string_view publisher);
  uint64_t limited() const { return limited_.value(); }

 private:
  const Limits limits_;
  base::SharedMetric limited_;
  ops::LogLimiter lines_{absl::Seconds(10)};

  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, std::shared_ptr<Allowance>> allowances_ ABSL_GUARDED_BY(mutex_);
  // Where there are so many, and not before that time, those that are whole are forgotten.
  size_t forget_at_ ABSL_GUARDED_BY(mutex_) = 1000;
  base::MonotonicTime next_forgetting_ ABSL_GUARDED_BY(mutex_) = base::MonotonicTime::min();
};

}  // namespace bridge::rpc
