// Streams whose cursor is behind the ring, which read the store page by page; and a log that starts anew, or has a gap.
#include <algorithm>
#include <utility>

#include "bridge/hub/control_events.h"
#include "bridge/hub/hub.h"

namespace bridge::hub {
namespace {

// What one call compares, records with patterns: some 100 microseconds.
constexpr int kScansMax = 4096;

}  // namespace

// --- Pages of the store.

void Hub::PostPage(FramePagePtr page) {
  loop_->Post([self = self_, arrived = std::move(page)] {
    if (Hub* hub = *self) {
      hub->loop_->AssertOnLoop();
      hub->OnPage(arrived);
    }
  });
}

void Hub::PostTrimmed(log::Position last_trimmed) {
  loop_->Post([self = self_, last_trimmed] {
    if (Hub* hub = *self) {
      hub->loop_->AssertOnLoop();
      hub->OnTrimmed(last_trimmed);
    }
  });
}

void Hub::ReadStoreAfter(Subscription& subscription, uint64_t sequence) {
  subscription.reads_store_ = true;
  subscription.next_ = sequence;
}

void Hub::StartAtOldest(Subscription& subscription) {
  if (store_ == nullptr) {
    subscription.reads_store_ = false;
    subscription.next_ = ring_.begin_index();
    return;
  }
  ReadStoreAfter(subscription, HistoryStart());
  subscription.starts_at_oldest_ = true;
}

StoreReader::Place Hub::PlaceOf(const Subscription& subscription) const {
  return {.after = {.epoch = epoch_, .sequence = subscription.next_},
          .pattern = store_->PatternFor(subscription.audience_->selection().patterns)};
}

int Hub::CatchUpFromStore(Subscription& subscription) {
  if (!subscription.is_ending_ && subscription.next_ >= ring_.trimmed_sequence()) {
    const uint64_t cursor = subscription.next_;
    subscription.reads_store_ = false;
    subscription.next_ = ring_.IndexAfter(cursor);
    if (cursor <= ring_.head_sequence()) {
      return CatchUpFromRing(subscription);
    }
    // The page had records that the log has yet to hand over.
    subscription.awaited_ = cursor;
    if (Flush(subscription)) {
      Wait(subscription);
    }
    return 1;
  }
  FramePagePtr page;
  if (const auto in_hand = pages_.find(&subscription); in_hand != pages_.end()) {
    page = std::move(in_hand->second);
    pages_.erase(in_hand);
  } else if (!subscription.is_ending_) {
    page = store_->Find(PlaceOf(subscription));
  }
  if (page == nullptr) {
    if (Flush(subscription)) {
      AwaitPage(subscription);
    }
    return 1;
  }
  if (subscription.next_ < page->damaged_to) {
    SayGap(subscription, IdOf(LastSequenceOf(subscription)), page->damaged_to, GapReason::kTrimmed);
    subscription.next_ = page->damaged_to;
  }
  const Selection& selection = subscription.audience_->selection();
  const auto behind = [](uint64_t sequence, const sse::FramePtr& frame) { return sequence < frame->sequence(); };
  const std::vector<sse::FramePtr>& frames = page->list.frames();
  auto frame = std::upper_bound(frames.begin(), frames.end(), subscription.next_, behind);
  int scanned = 0;
  uint64_t next = page->read_to;
  for (size_t bytes = 0; frame != frames.end(); ++frame) {
    if (scanned >= kScansMax) {
      next = (*frame)->sequence() - 1;
      break;
    }
    scanned += static_cast<int>(selection.patterns.size());
    if (!selection.Matches(page->list.topic(static_cast<size_t>(frame - frames.begin())), **frame)) {
      continue;
    }
    bytes += (*frame)->chunk().size();
    if (found_.size() == kFlushFramesMax || (bytes > kFlushBytesMax && !found_.empty())) {
      next = (*frame)->sequence() - 1;
      break;
    }
    found_.push_back({.frame = &*frame, .next = (*frame)->sequence() - 1});
  }
  const int cost = 1 + scanned / kScansPerSend;
  subscription.starts_at_oldest_ = false;
  ChargeReplay(subscription);
  if (Flush(subscription)) {
    subscription.next_ = next;
    MakeRunnable(subscription);
  }
  return cost;
}

void Hub::AwaitPage(Subscription& subscription) {
  subscription.stage_ = Subscription::Stage::kReading;
  reading_.push_back(subscription);
  store_->Fetch(PlaceOf(subscription), this);
}

void Hub::OnPage(const FramePagePtr& page) {
  if (page->epoch != epoch_) {
    return;
  }
  for (auto it = reading_.begin(); it != reading_.end();) {
    Subscription& subscription = *it++;
    if (subscription.next_ >= page->after && subscription.next_ < page->read_to &&
        PlaceOf(subscription).pattern == page->pattern) {
      pages_[&subscription] = page;
      LeaveStage(subscription);
      MakeRunnable(subscription);
    }
  }
}

void Hub::OnTrimmed(log::Position last_trimmed) {
  if (last_trimmed.epoch != epoch_) {
    return;
  }
  store_trimmed_ = std::max(store_trimmed_, last_trimmed.sequence);
  for (auto it = reading_.begin(); it != reading_.end();) {
    Subscription& subscription = *it++;
    if (subscription.next_ >= last_trimmed.sequence) {
      continue;
    }
    LeaveStage(subscription);
    if (!subscription.starts_at_oldest_) {
      SayGap(subscription, IdOf(LastSequenceOf(subscription)), HistoryStart(), GapReason::kTrimmed);
    }
    ReadStoreAfter(subscription, HistoryStart());
    MakeRunnable(subscription);
  }
}

void Hub::FetchAgain() {
  for (const Subscription& subscription : reading_) {
    store_->Fetch(PlaceOf(subscription), this);
  }
}

// --- The log starts anew.

void Hub::BeginEpoch(uint64_t epoch, uint64_t head) {
  // What streams of the epoch before are still owed is dropped: they are told that events may be missing.
  std::vector<std::pair<Subscription*, std::string>> cut;
  for (Subscription& subscription : all_) {
    LeaveStage(subscription);
    cut.emplace_back(&subscription, IdOf(LastSequenceOf(subscription)));
    FinishPartialAsText(subscription);
  }
  DropOwed();
  pages_.clear();
  if (store_ != nullptr) {
    store_->Drop();
  }
  replays_.clear();
  ring_.Reset(head);
  epoch_ = epoch;
  store_trimmed_ = 0;
  for (const auto& [subscription, last_id] : cut) {
    subscription->awaited_ = 0;
    subscription->last_sequence_ = 0;
    if (!subscription->is_ending_ && !lookbacks_.contains(subscription)) {
      SayGap(*subscription, last_id, HistoryStart(), GapReason::kEpoch);
      StartAtOldest(*subscription);
      if (!options_.end_type.empty()) {
        SayClosing(*subscription, EndReason::kEpoch);  // the end may be among what is lost
      }
    }
    MakeRunnable(*subscription);
  }
  AskForBounds();
}

void Hub::SkipTo(uint64_t head) {
  std::vector<std::pair<Subscription*, uint64_t>> behind;
  for (Subscription& subscription : all_) {
    if (subscription.reads_store_ || subscription.awaited_ != 0 || subscription.is_ending_ ||
        lookbacks_.contains(&subscription)) {
      continue;  // its cursor is not in the ring, or means nothing
    }
    LeaveStage(subscription);
    const bool is_slow = subscription.next_ < ring_.begin_index();
    behind.emplace_back(&subscription,
                        is_slow ? LastSequenceOf(subscription) : ring_.SequenceBefore(subscription.next_));
  }
  DropOwed();
  ring_.Reset(head);
  for (const auto& [subscription, cursor] : behind) {
    if (store_ != nullptr) {
      ReadStoreAfter(*subscription, cursor);  // which says what is missing
    } else {
      SayGap(*subscription, IdOf(cursor), HistoryStart(), GapReason::kTrimmed);
      StartAtOldest(*subscription);
    }
    MakeRunnable(*subscription);
  }
  WakeWaiting();
}

void Hub::DropOwed() {
  for (Audience* audience : std::exchange(owed_, {})) {
    audience->CurrentRound();
    owed_bytes_ -= audience->EndRound();
    if (audience->subscriptions == 0) {
      ReleaseAudience(*audience);
    }
  }
}

void Hub::FinishPartialAsText(Subscription& subscription) {
  if (subscription.partial_ == nullptr) {
    return;
  }
  auto rest = std::make_unique<Subscription::Control>();
  const Framing framing = subscription.audience_->selection().framing;
  rest->text = std::string(BytesOf(*subscription.partial_, framing).substr(subscription.partial_written_));
  if (subscription.control_ != nullptr) {
    absl::StrAppend(&rest->text, subscription.control_->text);  // of which nothing has been written
  }
  subscription.control_ = std::move(rest);
  subscription.partial_ = nullptr;
}

void Hub::BecomeReady() {
  if (on_ready_ != nullptr && is_caught_up_ && (store_ == nullptr || knows_store_)) {
    std::exchange(on_ready_, nullptr)();
  }
}

}  // namespace bridge::hub
