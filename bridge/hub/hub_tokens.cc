// Streams whose token ends: they are told so, and end with it. The wall clock is looked at once a second; who is next
// is known in order, so that a hundred thousand idle streams cost nothing then.
#include <algorithm>
#include <limits>
#include <utility>

#include "bridge/hub/control_events.h"
#include "bridge/hub/hub.h"

namespace bridge::hub {
namespace {

// Enough to ask somebody for another token, and for another ticket. Where less is left when the stream is opened, half
// of that.
constexpr int64_t kNoticeSecondsMax = 30;

uint32_t UnixSeconds(absl::Time time) {
  return static_cast<uint32_t>(std::clamp<int64_t>(absl::ToUnixSeconds(time), 1, std::numeric_limits<uint32_t>::max()));
}

}  // namespace

void Hub::ScheduleTokenEnd(Subscription& subscription, absl::Time ends) {
  if (ends == absl::InfiniteFuture()) {
    return;
  }
  subscription.token_ends_at_ = UnixSeconds(ends);
  const int64_t left = int64_t{subscription.token_ends_at_} - UnixSeconds(options_.wall_clock());
  subscription.token_notice_ = static_cast<uint8_t>(std::clamp<int64_t>(left / 2, 0, kNoticeSecondsMax));
  token_ends_.insert({subscription.token_ends_at_ - subscription.token_notice_, &subscription});
}

void Hub::ForgetTokenEnd(Subscription& subscription) {
  if (subscription.token_ends_at_ != 0) {
    token_ends_.erase({subscription.token_ends_at_ - subscription.token_notice_, &subscription});
    subscription.token_ends_at_ = 0;
  }
}

void Hub::NoteWallTime() {
  wall_seconds_ = UnixSeconds(options_.wall_clock());
  if (HasTokenEndsDue()) {
    loop_->Wake(*this);
  }
}

int Hub::TellTokenEnds(int streams_max) {
  int told = 0;
  for (; told < streams_max && HasTokenEndsDue(); ++told) {
    Subscription& subscription = *token_ends_.begin()->second;
    const uint32_t ends_at = subscription.token_ends_at_;
    ForgetTokenEnd(subscription);
    if (subscription.is_ending_) {
      continue;
    }
    if (ends_at <= wall_seconds_) {
      EndByToken(subscription);
      continue;
    }
    subscription.token_ends_at_ = ends_at;
    subscription.token_notice_ = 0;
    token_ends_.insert({ends_at, &subscription});
    if (lookbacks_.contains(&subscription)) {
      continue;  // bridge.open comes first
    }
    Say(subscription, EncodeExpiring(IdOf(LastSequenceOf(subscription)), ends_at - wall_seconds_));
    LeaveStage(subscription);
    MakeRunnable(subscription);
  }
  return told;
}

void Hub::EndByToken(Subscription& subscription) {
  LeaveStage(subscription);
  SayClosing(subscription, EndReason::kTokenExpired);
  // From now on nothing is granted, also of what it is still owed.
  subscription.reads_store_ = false;
  lookbacks_.erase(&subscription);
  pages_.erase(&subscription);
  MakeRunnable(subscription);
}

}  // namespace bridge::hub
