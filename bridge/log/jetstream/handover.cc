#include "bridge/log/jetstream/handover.h"

#include <cassert>

namespace bridge::log::jetstream {

void Handover::Follow(Follower* follower, const EventLog::Tail& tail) {
  const absl::MutexLock lock(&mutex_);
  assert(follower_ == nullptr);
  follower_ = follower;
  tail_ = tail;
}

void Handover::Resume() {
  const absl::MutexLock lock(&mutex_);
  is_stalled_ = false;
}

void Handover::End() {
  const absl::MutexLock lock(&mutex_);
  is_ending_ = true;
}

bool Handover::AwaitTail(EventLog::Tail* tail) {
  const absl::MutexLock lock(&mutex_);
  const auto is_done = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return is_ending_ || follower_ != nullptr; };
  mutex_.Await(absl::Condition(&is_done));
  *tail = tail_;
  return !is_ending_;
}

bool Handover::Epoch(uint64_t epoch, uint64_t head) {
  Follower* const follower = TakeTurn(Needs::kNothing);
  if (follower != nullptr) {
    follower->OnEpoch(epoch, head);
    EndTurn(Follower::Flow::kContinue);
  }
  return follower != nullptr;
}

bool Handover::CaughtUp() {
  Follower* const follower = TakeTurn(Needs::kEpoch);
  if (follower != nullptr) {
    follower->OnCaughtUp();
    EndTurn(Follower::Flow::kContinue);
  }
  return follower != nullptr;
}

bool Handover::Gap(uint64_t head, Follower::Missing why) {
  Follower* const follower = TakeTurn(Needs::kEpoch);
  if (follower != nullptr) {
    follower->OnGap(head, why);
    EndTurn(Follower::Flow::kContinue);
  }
  return follower != nullptr;
}

bool Handover::Entries(absl::Span<const Entry> entries) {
  Follower* const follower = TakeTurn(Needs::kEpoch);
  if (follower != nullptr) {
    EndTurn(follower->OnEntries(entries));
  }
  return follower != nullptr;
}

Follower* Handover::TakeTurn(Needs needs) {
  const absl::MutexLock lock(&mutex_);
  const auto is_turn = [this, needs]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    const bool may_call = follower_ != nullptr && !is_calling_ && !is_stalled_;
    return is_ending_ || (may_call && (has_epoch_ || needs == Needs::kNothing));
  };
  mutex_.Await(absl::Condition(&is_turn));
  if (is_ending_) {
    return nullptr;
  }
  is_calling_ = true;
  is_stalled_ = true;
  has_epoch_ = true;
  return follower_;
}

void Handover::EndTurn(Follower::Flow flow) {
  const absl::MutexLock lock(&mutex_);
  is_calling_ = false;
  if (flow == Follower::Flow::kContinue) {
    is_stalled_ = false;
  }
}

}  // namespace bridge::log::jetstream
