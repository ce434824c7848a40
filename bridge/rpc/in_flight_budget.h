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

// What all publishers together have in flight: the bytes of requests that the log does not have yet, and those of acks
// that have not been written. Requests go on as fast as the log takes them; acks wait for their publishers, so theirs
// must not keep others from publishing, and are counted apart.
//
// Thread-safe.
class InFlightBudget {
 public:
  // The metrics show the sums.
  InFlightBudget(uint64_t bytes_max, base::SharedMetric* request_bytes, base::SharedMetric* ack_bytes)
      : bytes_max_(bytes_max), request_bytes_(request_bytes), ack_bytes_(ack_bytes) {}

  void AddRequest(uint64_t bytes) { request_bytes_->Add(bytes); }
  // Wakes those who wait where there is room again.
  void ReleaseRequest(uint64_t bytes);

  void AddAcks(uint64_t bytes) { ack_bytes_->Add(bytes); }
  void ReleaseAcks(uint64_t bytes) { ack_bytes_->Sub(bytes); }

  // For requests.
  bool HasRoom() const { return request_bytes_->value() <= bytes_max_; }
  // Whether there is room; where there is none, `waiter` is called when there is.
  bool HasRoomOrWait(const std::shared_ptr<BudgetWaiter>& waiter);

  // Where there is no room for acks, who has some that have not been written should cause no more. The others go on.
  bool HasRoomForAcks() const { return ack_bytes_->value() <= bytes_max_ / kAcksShare; }

 private:
  static constexpr uint64_t kAcksShare = 4;

  const uint64_t bytes_max_;
  base::SharedMetric* const request_bytes_;
  base::SharedMetric* const ack_bytes_;
  absl::Mutex mutex_;
  std::vector<std::weak_ptr<BudgetWaiter>> waiters_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bridge::rpc
