// Replays that are limited (limits.replay_events_per_second, limits.replay_bytes_per_second): a stream that resumes
// waits until it may go on, one that asked for a replay= goes on with what comes now, and is told so.
#include <algorithm>
#include <limits>

#include "bridge/hub/hub.h"

namespace bridge::hub {
namespace {

// How often those that are held back may go on.
constexpr auto kPace = std::chrono::milliseconds(50);

// What one second allows.
double BudgetOf(uint64_t per_second) {
  return per_second == 0 ? std::numeric_limits<double>::infinity() : static_cast<double>(per_second);
}

}  // namespace

void Hub::BeginReplay(const Subscription& subscription, const Opening& opening) {
  const bool has_limit = options_.replay_events_per_second != 0 || options_.replay_bytes_per_second != 0;
  const bool is_replay = opening.reads_store_ || opening.lookback_ > 0 || opening.next_ < ring_.end_index();
  if (has_limit && is_replay) {
    replays_[&subscription] = {.end_index = ring_.end_index(),
                               .end_sequence = ring_.head_sequence(),
                               .may_be_cut = opening.may_be_cut_ && opening.lookback_ == 0,
                               .events = BudgetOf(options_.replay_events_per_second),
                               .bytes = BudgetOf(options_.replay_bytes_per_second),
                               .counted_at = loop_->now()};
  }
}

void Hub::ChargeReplay(const Subscription& subscription) {
  if (replays_.empty()) {
    return;
  }
  const auto replay = replays_.find(&subscription);
  if (replay == replays_.end()) {
    return;
  }
  for (const Found& found : found_) {
    replay->second.events -= 1;
    replay->second.bytes -= static_cast<double>((*found.frame)->chunk().size());
  }
}

bool Hub::HoldReplayBack(Subscription& subscription) {
  const auto found = replays_.find(&subscription);
  if (found == replays_.end()) {
    return false;
  }
  Replay& replay = found->second;
  const bool is_over =
      subscription.reads_store_ ? subscription.next_ >= replay.end_sequence : subscription.next_ >= replay.end_index;
  if (is_over) {
    replays_.erase(found);
    return false;
  }
  const double seconds = std::chrono::duration<double>(loop_->now() - replay.counted_at).count();
  const auto refill = [seconds](double* budget, uint64_t per_second) {
    if (per_second != 0) {
      *budget = std::min(*budget + seconds * BudgetOf(per_second), BudgetOf(per_second));
    }
  };
  if (!replay.may_be_cut) {
    refill(&replay.events, options_.replay_events_per_second);
    refill(&replay.bytes, options_.replay_bytes_per_second);
    replay.counted_at = loop_->now();
  }
  if (replay.events > 0 && replay.bytes > 0) {
    return false;
  }
  if (replay.may_be_cut) {
    const uint64_t next = replay.end_index;
    replays_.erase(found);
    CutReplay(subscription, next);
    return false;
  }
  if (Flush(subscription)) {
    HoldBack(subscription);
  }
  return true;
}

void Hub::CutReplay(Subscription& subscription, uint64_t next) {
  const std::string requested = IdOf(LastSequenceOf(subscription));
  subscription.reads_store_ = false;
  subscription.starts_at_oldest_ = false;
  pages_.erase(&subscription);
  subscription.next_ = std::max(next, ring_.begin_index());
  SayGap(subscription, requested, ring_.SequenceBefore(subscription.next_), GapReason::kReplayLimit);
}

void Hub::HoldBack(Subscription& subscription) {
  subscription.stage_ = Subscription::Stage::kHeldBack;
  if (held_back_.empty()) {
    loop_->Schedule(pace_timer_, kPace);
  }
  held_back_.push_back(subscription);
}

void Hub::LetHeldBackGoOn() {
  while (!held_back_.empty()) {
    Subscription& subscription = held_back_.front();
    LeaveStage(subscription);
    MakeRunnable(subscription);
  }
}

}  // namespace bridge::hub
