#include "bridge/rpc/in_flight_budget.h"

namespace bridge::rpc {

void InFlightBudget::ReleaseRequest(uint64_t bytes) {
  request_bytes_->Sub(bytes);
  std::vector<std::weak_ptr<BudgetWaiter>> waiters;
  {
    const absl::MutexLock lock(&mutex_);
    if (!HasRoom() || waiters_.empty()) {
      return;
    }
    waiters.swap(waiters_);
  }
  for (const auto& weak : waiters) {
    if (const auto waiter = weak.lock()) {
      waiter->OnBudget();
    }
  }
}

bool InFlightBudget::HasRoomOrWait(const std::shared_ptr<BudgetWaiter>& waiter) {
  if (HasRoom()) {
    return true;
  }
  const absl::MutexLock lock(&mutex_);
  if (HasRoom()) {  // released in the meantime: nobody would wake the waiter
    return true;
  }
  waiters_.push_back(waiter);
  return false;
}

}  // namespace bridge::rpc
