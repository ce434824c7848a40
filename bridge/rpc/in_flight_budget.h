#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "bridge/base/metric.h"

namespace bridge::rpc {

// Someone who reads no further while too much is in flight.
class BudgetWaiter {
 public:
  virtual ~BudgetWaiter() = default;
  // There is room again. Called without locks, on any thread.
  virtual void OnBudget() = 0;
};

// The bytes that all publishers together have in flight (read, and not yet acked).
//
// Thread-safe.
class InFlightBudget {
 public:
  // `bytes_in_flight` shows the sum.
  InFlightBudget(uint64_t bytes_max, base::SharedMetric* bytes_in_flight)
      : bytes_max_(bytes_max), bytes_(bytes_in_flight) {}

  void Add(uint64_t bytes) { bytes_->Add(bytes); }

  // Wakes those who wait where there is room again.
  void Release(uint64_t bytes);

  bool HasRoom() const { return bytes_->value() <= bytes_max_; }

  // Whether there is room; where there is none, `waiter` is called when there is.
  bool HasRoomOrWait(const std::shared_ptr<BudgetWaiter>& waiter);

 private:
  const uint64_t bytes_max_;
  base::SharedMetric* const bytes_;
  absl::Mutex mutex_;
  std::vector<std::weak_ptr<BudgetWaiter>> waiters_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bridge::rpc
