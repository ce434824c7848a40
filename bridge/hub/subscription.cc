#include "bridge/hub/subscription.h"

#include "absl/strings/string_view.h"

#include "bridge/hub/hub.h"

namespace bridge::hub {

absl::string_view NameOf(EndReason reason) {
  switch (reason) {
    case EndReason::kClientClosed:
      return "client_closed";
    case EndReason::kStalled:
      return "stalled";
    case EndReason::kSlow:
      return "slow";
    case EndReason::kPinned:
      return "pinned";
    case EndReason::kFlood:
      return "flood";
    case EndReason::kMaxAge:
      return "max_age";
    case EndReason::kTokenExpired:
      return "token_expired";
    case EndReason::kDraining:
      return "draining";
    case EndReason::kComplete:
      return "complete";
    case EndReason::kEpoch:
      return "epoch";
  }
  return "unknown";
}

void Subscription::OnTimer() {
  hub_->loop().AssertOnLoop();
  hub_->OnTimerOf(*this);
}

}  // namespace bridge::hub
