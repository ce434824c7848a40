// What the bridge itself says on an event stream, and when.
#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"

#include "bridge/hub/control_events.h"
#include "bridge/hub/hub.h"

namespace bridge::hub {

absl::Duration Hub::JitteredRetry() { return options_.retry * absl::Uniform(random_, 0.75, 1.25); }

std::string Hub::OldestId() const {
  if (HistoryStart() < ring_.trimmed_sequence()) {
    return IdOf(HistoryStart() + 1);
  }
  return ring_.begin_index() == ring_.end_index() ? std::string() : IdOf(ring_[ring_.begin_index()]->sequence());
}

void Hub::Say(Subscription& subscription, absl::string_view text) {
  const bool is_chunked = subscription.audience_->selection().framing == Framing::kChunked;
  if (subscription.control_ == nullptr) {
    subscription.control_ = std::make_unique<Subscription::Control>();
  }
  absl::StrAppend(&subscription.control_->text, is_chunked ? sse::WrapChunk(text) : std::string(text));
}

void Hub::SayGap(Subscription& subscription, absl::string_view requested, uint64_t sequence, GapReason reason) {
  metrics_.gaps[static_cast<size_t>(reason)].Add(1);
  subscription.last_sequence_ = sequence;
  Say(subscription, EncodeGap(IdOf(sequence), requested, OldestId(), reason));
}

void Hub::SayClosing(Subscription& subscription, EndReason reason) {
  const bool is_chunked = subscription.audience_->selection().framing == Framing::kChunked;
  const bool has_caught_up =
      subscription.awaited_ == 0 && !subscription.reads_store_ && subscription.next_ == ring_.end_index();
  const uint64_t cursor = std::max(LastSequenceOf(subscription), has_caught_up ? ring_.head_sequence() : 0);
  // Where the last N matches are still looked for, the client has nothing yet, and keeps the id that it came with.
  const std::string id = lookbacks_.contains(&subscription) ? std::string() : IdOf(cursor);
  Say(subscription, EncodeClosing(id, NameOf(reason), JitteredRetry()));
  if (is_chunked) {
    absl::StrAppend(&subscription.control_->text, sse::kLastChunk);
  }
  subscription.is_ending_ = true;
  subscription.end_reason_ = reason;
}

bool Hub::HasEnd(const Audience& audience) const {
  if (options_.end_type.empty() || !audience.IsOneTopic()) {
    return false;
  }
  const PostingList* const postings = ring_.PostingsOf(audience.selection().patterns[0].text());
  return postings != nullptr && ring_[(*postings)[postings->size() - 1]]->type() == options_.end_type;
}

void Hub::EndComplete(Subscription& subscription) {
  if (subscription.audience_->selection().framing == Framing::kPlain) {
    End(subscription, EndReason::kComplete);
    return;
  }
  subscription.control_ =
      std::make_unique<Subscription::Control>(Subscription::Control{.text = std::string(sse::kLastChunk)});
  subscription.is_ending_ = true;
  subscription.end_reason_ = EndReason::kComplete;
  MakeRunnable(subscription);
}

void Hub::HandleSlow(Subscription& subscription) {
  const uint64_t cursor = LastSequenceOf(subscription);
  if (StoreReaches(cursor)) {
    ReadStoreAfter(subscription, cursor);
    return;
  }
  if (options_.slow_client == SlowClient::kDisconnect) {
    SayClosing(subscription, EndReason::kSlow);
    return;
  }
  SayGap(subscription, IdOf(cursor), HistoryStart(), GapReason::kSlow);
  StartAtOldest(subscription);
}

void Hub::SayHeartbeat(Subscription& subscription) {
  const Subscription::Stage stage = subscription.stage_;
  const bool is_live = stage == Subscription::Stage::kLive;
  if (stage == Subscription::Stage::kBlocked || subscription.control_ != nullptr || subscription.partial_ != nullptr ||
      lookbacks_.contains(&subscription) || (is_live && subscription.audience_->IsOwed(subscription))) {
    return;  // it will be sent something else first
  }
  const uint64_t cursor = is_live ? ring_.head_sequence() : subscription.last_sequence_;
  const bool is_for_cursor = cursor > subscription.last_sequence_ && options_.heartbeats == Heartbeats::kTellCursor;
  if (is_for_cursor || subscription.wants_heartbeat_events_) {
    subscription.last_sequence_ = std::max(cursor, subscription.last_sequence_);
    Say(subscription, EncodeHeartbeat(IdOf(subscription.last_sequence_)));
  } else {
    Say(subscription, sse::kComment);
  }
  metrics_.heartbeats.Add(1);
  if (stage == Subscription::Stage::kRunnable) {
    return;  // it goes out with the rest
  }
  LeaveStage(subscription);
  found_.clear();
  if (!Flush(subscription)) {
    return;
  }
  if (is_live) {
    GoLive(subscription);
  } else if (stage == Subscription::Stage::kReading) {
    AwaitPage(subscription);
  } else if (stage == Subscription::Stage::kHeldBack) {
    HoldBack(subscription);
  } else {
    Wait(subscription);
  }
}

void Hub::EndGracefully(Subscription& subscription, EndReason reason) {
  subscription.ends_when_live_ = true;
  subscription.end_reason_ = reason;
  if (subscription.stage_ == Subscription::Stage::kLive) {
    LeaveStage(subscription);
    MakeRunnable(subscription);
  } else if (subscription.stage_ == Subscription::Stage::kWaiting ||
             subscription.stage_ == Subscription::Stage::kHeldBack) {
    LeaveStage(subscription);
    SayClosing(subscription, reason);
    MakeRunnable(subscription);
  }
}

base::MonotonicTime Hub::NextHeartbeat() {
  return loop_->now() + absl::ToChronoNanoseconds(options_.heartbeat * absl::Uniform(random_, 0.9, 1.1));
}

void Hub::ScheduleTimerOf(Subscription& subscription) {
  base::MonotonicTime next = std::min(subscription.heartbeat_at_, subscription.expires_at_);
  if (subscription.stage_ == Subscription::Stage::kBlocked) {
    next = std::min(next, subscription.last_progress_ + absl::ToChronoNanoseconds(options_.send_timeout));
  }
  loop_->Schedule(subscription, next - loop_->now());
}

void Hub::OnTimerOf(Subscription& subscription) {
  const base::MonotonicTime now = loop_->now();
  const bool is_blocked = subscription.stage_ == Subscription::Stage::kBlocked;
  if (is_blocked && now - subscription.last_progress_ >= absl::ToChronoNanoseconds(options_.send_timeout)) {
    End(subscription, EndReason::kStalled);
    return;
  }
  if (now >= subscription.expires_at_) {
    subscription.expires_at_ = base::MonotonicTime::max();
    ScheduleTimerOf(subscription);
    EndGracefully(subscription, EndReason::kMaxAge);
    return;
  }
  if (now >= subscription.heartbeat_at_) {
    subscription.heartbeat_at_ = NextHeartbeat();
    ScheduleTimerOf(subscription);
    SayHeartbeat(subscription);
    return;
  }
  ScheduleTimerOf(subscription);
}

}  // namespace bridge::hub
