// Where the log begins, begins anew, or has been caught up with.
#include <vector>

#include "bridge/calls/calls.h"

namespace bridge::calls {

void Calls::BeginEpoch(uint64_t epoch, uint64_t head) {
  if (epoch_ != 0) {
    // The log has been made anew, or all of it been trimmed: nothing that was in it is.
    waiting_.clear();
    waiting_count_ = 0;
    for (const auto& slot : slots_) {
      if (slot->worker != nullptr && (!slot->is_claiming || slot->IsMoving())) {
        TellStop(*slot, StopReason::kLost);
      }
      Detach(*slot);
    }
    keys_.clear();
    claims_.clear();
    rejections_.Clear();
    slots_.clear();
    ++generation_;
    per_subject_.clear();
    per_address_.clear();
    log_bytes_ = 0;
    bytes_in_flight_ = 0;
    open_count_ = 0;
    for (const auto& [id, opening] : openings_) {
      ++open_count_;
      bytes_in_flight_ += opening.bytes;
      ++per_subject_[opening.subject];
      ++per_address_[opening.address];
    }
    metrics_.open.Set(open_count_);
    metrics_.queued.Set(0);
  }
  follow_waits_.OnEpoch();
  epoch_ = epoch;
  followed_ = head;
  is_caught_up_ = false;
  answers_->OnEpoch(epoch, head);
}

void Calls::CatchUp() {
  answers_->OnCaughtUp();
  is_caught_up_ = true;
  // What was going on before this process, or while it did not know.
  for (const auto& slot : slots_) {
    if (!slot->state.is_ended()) {
      CountAfresh(*slot);
    }
  }
  std::vector<WorkerHandle> workers;
  for (const auto& [key, worker] : serving_) {
    workers.push_back(worker);
  }
  for (const WorkerHandle& worker : workers) {
    AssignWaitingTo(worker);
  }
}

}  // namespace bridge::calls
