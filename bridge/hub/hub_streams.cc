// The life of an event stream in its hub: how it starts, its stages, and how it ends.
#include <algorithm>
#include <utility>

#include "bridge/hub/control_events.h"
#include "bridge/hub/hub.h"

namespace bridge::hub {

// --- Starting.

Hub::Opening Hub::Open(Selection& selection, const Start& start) {
  selection.Normalize();
  Opening opening;
  opening.next_ = ring_.end_index();
  opening.last_sequence_ = ring_.head_sequence();
  const absl::Duration retry = JitteredRetry();
  const auto open = [&](absl::string_view id) {
    loop_->AssertOnLoop();
    return start.open_data.empty() ? EncodeOpen(id, retry, options_.heartbeat) : EncodeOpen(id, retry, start.open_data);
  };
  const auto start_at_oldest = [&] {
    loop_->AssertOnLoop();
    opening.last_sequence_ = HistoryStart();
    opening.reads_store_ = opening.last_sequence_ < ring_.trimmed_sequence();
    opening.starts_at_oldest_ = opening.reads_store_;
    opening.next_ = opening.reads_store_ ? opening.last_sequence_ : ring_.begin_index();
  };
  const auto open_with_gap = [&](absl::string_view open_id, uint64_t sequence, GapReason reason) {
    loop_->AssertOnLoop();
    // Until the gap has been told the client keeps the id that it asked for, so that a cut in between hides nothing.
    opening.last_sequence_ = sequence;
    opening.text = open(open_id) + EncodeGap(IdOf(sequence), start.id, OldestId(), reason);
    metrics_.gaps[static_cast<size_t>(reason)].Add(1);
  };

  switch (start.kind) {
    case Start::Kind::kLive:
      break;
    case Start::Kind::kReplayAll:
      opening.may_be_cut_ = options_.end_type.empty();
      start_at_oldest();
      break;
    case Start::Kind::kReplayLast:
      opening.may_be_cut_ = options_.replay_events_per_second != 0 && start.count > options_.replay_events_per_second;
      opening.lookback_ = opening.may_be_cut_ ? options_.replay_events_per_second : start.count;
      if (start.count > 0) {
        return opening;  // bridge.open tells where the stream starts: it is said when the matches have been found
      }
      break;
    case Start::Kind::kAfterId: {
      const auto position = log::ParseEventId(start.id);
      if (!position.ok()) {
        open_with_gap(IdOf(ring_.head_sequence()), ring_.head_sequence(), GapReason::kMalformed);
        return opening;
      }
      if (position->epoch != epoch_ || position->sequence < HistoryStart()) {
        start_at_oldest();
        open_with_gap(start.id, HistoryStart(), position->epoch != epoch_ ? GapReason::kEpoch : GapReason::kTrimmed);
        return opening;
      }
      opening.last_sequence_ = position->sequence;
      if (position->sequence > ring_.head_sequence()) {
        opening.awaited_ = position->sequence;
      } else if (position->sequence < ring_.trimmed_sequence()) {
        opening.reads_store_ = true;
        opening.next_ = position->sequence;
      } else {
        opening.next_ = ring_.IndexAfter(position->sequence);
      }
      break;
    }
  }
  opening.text = open(IdOf(opening.last_sequence_));
  return opening;
}

void Hub::Add(Subscription& subscription, Selection selection, const Opening& opening, std::string unsent,
              const StreamTerms& terms) {
  Audience& audience = AudienceOf(std::move(selection));
  ++audience.subscriptions;

  subscription.hub_ = this;
  subscription.audience_ = &audience;
  subscription.next_ = opening.next_;
  subscription.awaited_ = opening.awaited_;
  subscription.last_sequence_ = opening.last_sequence_;
  subscription.reads_store_ = opening.reads_store_;
  subscription.starts_at_oldest_ = opening.starts_at_oldest_;
  subscription.wants_heartbeat_events_ = terms.wants_heartbeat_events;
  subscription.heartbeat_at_ = NextHeartbeat();
  if (options_.stream_max_age > absl::ZeroDuration()) {
    subscription.expires_at_ =
        loop_->now() + absl::ToChronoNanoseconds(options_.stream_max_age * absl::Uniform(random_, 0.9, 1.1));
  }
  subscription.last_progress_ = loop_->now();
  if (!unsent.empty()) {
    subscription.control_ = std::make_unique<Subscription::Control>(Subscription::Control{.text = std::move(unsent)});
  }
  ScheduleTokenEnd(subscription, terms.ends);
  all_.push_back(subscription);
  metrics_.streams.Add(1);
  ScheduleTimerOf(subscription);

  if (opening.lookback_ > 0) {
    lookbacks_[&subscription] = {
        .remaining = opening.lookback_, .searched_to = ring_.end_index(), .is_cut = opening.may_be_cut_};
  }
  BeginReplay(subscription, opening);
  CatchUp(subscription);
}

// --- Stages.

void Hub::GoLive(Subscription& subscription) {
  if (HasEnd(*subscription.audience_)) {
    EndComplete(subscription);
    return;
  }
  if (subscription.ends_when_live_) {
    SayClosing(subscription, subscription.end_reason_);
    MakeRunnable(subscription);
    return;
  }
  subscription.stage_ = Subscription::Stage::kLive;
  subscription.audience_->AddLive(subscription);
  subscription.audience_->NoteCaughtUp();
}

void Hub::MakeRunnable(Subscription& subscription) {
  subscription.stage_ = Subscription::Stage::kRunnable;
  runnable_.push_back(subscription);
  loop_->Wake(*this);
}

void Hub::Block(Subscription& subscription) {
  subscription.stage_ = Subscription::Stage::kBlocked;
  blocked_.push_back(subscription);
  Pin(subscription);
  ScheduleTimerOf(subscription);
  EndSlowestWhilePinnedTooMuch();
}

void Hub::Wait(Subscription& subscription) {
  if (subscription.awaited_ <= ring_.head_sequence()) {
    GoOnFromAwaited(subscription);  // reached while it was blocked
    return;
  }
  subscription.stage_ = Subscription::Stage::kWaiting;
  waiting_.push_back(subscription);
  AskForBounds();
}

void Hub::LeaveStage(Subscription& subscription) {
  switch (subscription.stage_) {
    case Subscription::Stage::kLive:
      subscription.audience_->RemoveLive(subscription, ring_.end_index());
      subscription.last_progress_ = loop_->now();  // so far it has taken everything
      break;
    case Subscription::Stage::kBlocked:
      Unpin(subscription);
      [[fallthrough]];
    case Subscription::Stage::kRunnable:
    case Subscription::Stage::kWaiting:
    case Subscription::Stage::kReading:
    case Subscription::Stage::kHeldBack:
      subscription.stage_hook_.unlink();
      break;
  }
  subscription.stage_ = Subscription::Stage::kRunnable;  // in no list: what ends it now has nothing to take it out of
}

void Hub::NoteWritable(Subscription& subscription) {
  if (subscription.stage_ == Subscription::Stage::kBlocked) {
    LeaveStage(subscription);
    MakeRunnable(subscription);
  }
}

void Hub::End(Subscription& subscription, EndReason reason) {
  LeaveStage(subscription);
  subscription.all_hook_.unlink();
  loop_->Cancel(subscription);
  ForgetTokenEnd(subscription);
  lookbacks_.erase(&subscription);
  pages_.erase(&subscription);
  replays_.erase(&subscription);
  metrics_.streams.Sub(1);
  metrics_.ends[static_cast<size_t>(reason)].Add(1);
  Audience& audience = *subscription.audience_;
  --audience.subscriptions;
  subscription.audience_ = nullptr;
  if (audience.subscriptions == 0 && !audience.is_owed()) {
    ReleaseAudience(audience);
  }
  subscription.OnEnd(reason);
}

// --- Cursors that are ahead of this replica.

void Hub::AskForBounds() {
  if (log_ == nullptr || is_asking_for_bounds_ || epoch_ == 0 ||
      (store_ == nullptr && waiting_.empty() && asked_for_.empty())) {
    return;
  }
  is_asking_for_bounds_ = true;
  asked_for_.splice(asked_for_.end(), waiting_);
  log_->GetBounds([self = self_, loop = loop_](absl::StatusOr<log::Bounds> bounds) {
    loop->Post([self, answer = std::move(bounds)] {
      if (Hub* hub = *self) {
        hub->loop_->AssertOnLoop();
        hub->OnBounds(answer);
      }
    });
  });
}

void Hub::OnBounds(const absl::StatusOr<log::Bounds>& bounds) {
  is_asking_for_bounds_ = false;
  if (!bounds.ok() || bounds->epoch != epoch_) {
    return;  // asked again at the next tidying
  }
  store_trimmed_ = std::max(store_trimmed_, bounds->oldest - 1);
  knows_store_ = true;
  BecomeReady();
  for (auto it = asked_for_.begin(); it != asked_for_.end();) {
    Subscription& subscription = *it++;
    if (subscription.awaited_ > bounds->newest) {
      LeaveStage(subscription);
      SayGap(subscription, IdOf(subscription.awaited_), ring_.head_sequence(), GapReason::kAhead);
      subscription.awaited_ = 0;
      subscription.next_ = ring_.end_index();
      MakeRunnable(subscription);
    }
  }
  if (!waiting_.empty()) {
    AskForBounds();  // those that have come since are not judged by an older answer
  }
}

void Hub::WakeWaiting() {
  for (Subscription::StageList* list : {&waiting_, &asked_for_}) {
    for (auto it = list->begin(); it != list->end();) {
      Subscription& subscription = *it++;
      if (subscription.awaited_ > ring_.head_sequence()) {
        continue;
      }
      LeaveStage(subscription);
      GoOnFromAwaited(subscription);
    }
  }
}

void Hub::GoOnFromAwaited(Subscription& subscription) {
  const uint64_t reached = std::exchange(subscription.awaited_, 0);
  if (reached >= ring_.trimmed_sequence()) {
    subscription.next_ = ring_.IndexAfter(reached);
  } else if (StoreReaches(reached)) {
    ReadStoreAfter(subscription, reached);
  } else {
    SayGap(subscription, IdOf(reached), HistoryStart(), GapReason::kTrimmed);
    StartAtOldest(subscription);
  }
  MakeRunnable(subscription);
}

// --- Frames that are half written.

void Hub::Pin(const Subscription& subscription) {
  if (subscription.partial_ != nullptr && pins_[subscription.partial_.get()]++ == 0) {
    pinned_bytes_ += subscription.partial_->footprint_bytes();
    metrics_.pinned_bytes.Set(pinned_bytes_);
  }
}

void Hub::Unpin(const Subscription& subscription) {
  if (subscription.partial_ == nullptr) {
    return;
  }
  const auto pin = pins_.find(subscription.partial_.get());
  if (--pin->second == 0) {
    pins_.erase(pin);
    pinned_bytes_ -= subscription.partial_->footprint_bytes();
    metrics_.pinned_bytes.Set(pinned_bytes_);
  }
}

void Hub::EndSlowestWhilePinnedTooMuch() {
  for (auto it = blocked_.begin(); it != blocked_.end() && pinned_bytes_ > options_.pinned_bytes_max;) {
    Subscription& subscription = *it++;
    if (subscription.partial_ != nullptr) {
      End(subscription, EndReason::kPinned);
    }
  }
}

}  // namespace bridge::hub
