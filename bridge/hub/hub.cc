#include "bridge/hub/hub.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/strings/str_cat.h"
#include "bridge/hub/control_events.h"

namespace bridge::hub {
namespace {

// A slice of work is so many sends (half a millisecond), and one audience or stream gets so many of them before it is another's turn.
constexpr int kSendsPerSlice = 128;
constexpr int kSendsPerTurn = 32;
// Taking so many frames costs about as much as one send.
constexpr int kFramesPerSend = 16;

// While the streams are owed more than this, the hub takes no further frames: the feed stalls, and publishers are read more slowly. Enough for
// each of ten thousand topics to be owed several events, which then go out together.
constexpr size_t kOwedBytesMax = size_t{16} << 20;

// What a stream that catches up gets in one write.
constexpr size_t kFlushFramesMax = 128;
constexpr size_t kFlushBytesMax = size_t{128} << 10;

constexpr auto kTidyInterval = std::chrono::seconds(1);

}  // namespace

Hub::Hub(loop::EventLoop* loop, log::EventLog* log, const HubOptions& options)
    : loop_(loop),
      log_(log),
      options_(options),
      self_(std::make_shared<Hub*>(this)),
      ring_(options.history),
      tidy_timer_(this) {
  loop_->AssertOnLoop();
  loop_->SetWork([this] {
    loop_->AssertOnLoop();
    return RunSlice();
  });
  loop_->Schedule(tidy_timer_, kTidyInterval);
}

Hub::~Hub() {
  loop_->AssertOnLoop();
  assert(all_.empty());
  *self_ = nullptr;
  loop_->SetWork([] { return false; });
  loop_->Cancel(tidy_timer_);
}

// --- Records come in.

void Hub::PostEpoch(uint64_t epoch, uint64_t head) {
  loop_->Post([self = self_, epoch, head] {
    if (Hub* hub = *self) {
      hub->loop_->AssertOnLoop();
      hub->epoch_ = epoch;
      hub->ring_.Reset(head);
    }
  });
}

void Hub::PostFrames(std::shared_ptr<const FrameBatch> batch) {
  loop_->Post([self = self_, frames = std::move(batch)]() mutable {
    if (Hub* hub = *self) {
      hub->loop_->AssertOnLoop();
      hub->inbox_.push_back(std::move(frames));
      hub->loop_->WakeWork();
    }
  });
}

void Hub::TakeInbox() {
  if (inbox_.empty()) {
    return;
  }
  for (const sse::FramePtr& frame : inbox_.front()->frames) {
    TakeFrame(frame);
  }
  inbox_.pop_front();
  if (!waiting_.empty()) {
    WakeWaiting();
  }
  NoteHistory();
}

void Hub::TakeFrame(const sse::FramePtr& frame) {
  const uint64_t index_before = ring_.end_index();
  if (!frame->is_ephemeral()) {
    ring_.Append(frame);
  }
  const uint64_t index_after = ring_.end_index();
  ++tick_;
  index_.Match(frame->topic(), [&](Audience* audience) {
    loop_->AssertOnLoop();
    if (audience->last_seen_tick == tick_) {
      return;  // two of its patterns match
    }
    audience->last_seen_tick = tick_;
    if (!audience->has_live() || !audience->selection().MatchesType(*frame)) {
      return;
    }
    if (!audience->is_owed()) {
      owed_.push_back(audience);
    }
    audience->Owe({.frame = frame, .index_before = index_before, .index_after = index_after});
    owed_bytes_ += BytesOf(*frame, audience->selection().framing).size();
  });
}

// --- Work, in slices.

bool Hub::RunSlice() {
  int budget = kSendsPerSlice;
  while (budget > 0) {
    if (!inbox_.empty() && owed_bytes_ < kOwedBytesMax) {
      budget -= 1 + static_cast<int>(inbox_.front()->frames.size()) / kFramesPerSend;
      TakeInbox();
    }
    if (owed_.empty() && runnable_.empty()) {
      if (inbox_.empty()) {
        return false;
      }
      continue;
    }
    if (!owed_.empty()) {
      Audience* const audience = owed_.front();
      owed_.pop_front();
      budget -= ServeRound(*audience, std::min(budget, kSendsPerTurn));
    }
    if (!runnable_.empty()) {
      Subscription& subscription = runnable_.front();
      runnable_.pop_front();
      CatchUp(subscription);
      --budget;
    }
  }
  return !inbox_.empty() || !owed_.empty() || !runnable_.empty();
}

int Hub::ServeRound(Audience& audience, int sends_max) {
  Audience::Round& round = audience.CurrentRound();
  const auto now = base::MonotonicClock::now();
  int sends = 0;
  while (!audience.IsRoundServed() && sends < sends_max) {
    Deliver(audience.NextToServe(), round);
    ++sends;
  }
  for (const Audience::Item& item : round.items) {
    metrics_.latency.Observe(now - item.frame->received(), static_cast<uint64_t>(sends));
  }
  if (audience.IsRoundServed()) {
    owed_bytes_ -= audience.EndRound();
  }
  if (audience.is_owed()) {
    owed_.push_back(&audience);
  } else if (audience.subscriptions == 0) {
    ReleaseAudience(audience);
  }
  return std::max(sends, 1);
}

void Hub::Deliver(Subscription& subscription, Audience::Round& round) {
  const size_t skip = Audience::ItemsToSkip(subscription, round);
  if (skip >= round.items.size()) {
    ++round.position;
    return;
  }
  size_t total = round.bytes;
  for (size_t i = 0; i < skip; ++i) {
    total -= round.pieces[i].iov_len;
  }
  const ssize_t written = subscription.Write(absl::MakeConstSpan(round.pieces).subspan(skip));
  if (written < 0) {
    End(subscription, EndReason::kClientClosed);
    return;
  }
  const auto bytes = static_cast<size_t>(written);
  metrics_.delivered_bytes.Add(bytes);
  if (bytes == total) {
    metrics_.deliveries.Add(round.items.size() - skip);
    if (round.last_sequence != 0) {
      subscription.last_sequence_ = round.last_sequence;
    }
    ++round.position;
    return;
  }
  NotePartialRound(subscription, round, skip, bytes);
}

void Hub::NotePartialRound(Subscription& subscription, const Audience::Round& round, size_t skip, size_t written) {
  size_t i = skip;
  uint64_t last_sequence = subscription.last_sequence_;
  for (; written >= round.pieces[i].iov_len; ++i) {
    written -= round.pieces[i].iov_len;
    last_sequence = std::max(last_sequence, round.items[i].frame->sequence());
  }
  metrics_.deliveries.Add(i - skip);
  LeaveStage(subscription);
  subscription.last_sequence_ = last_sequence;
  subscription.last_progress_ = loop_->now();
  const Audience::Item& item = round.items[i];
  if (written > 0) {
    subscription.partial_ = item.frame;
    subscription.partial_written_ = static_cast<uint32_t>(written);
    subscription.next_ = item.index_after;
  } else {
    subscription.next_ = item.index_before;
  }
  Block(subscription);
}

void Hub::CatchUp(Subscription& subscription) {
  subscription.stage_ = Subscription::Stage::kRunnable;
  if (!lookbacks_.empty() && !FinishLookback(subscription)) {
    MakeRunnable(subscription);
    return;
  }
  if (subscription.next_ < ring_.begin_index() && !subscription.is_ending_) {
    HandleSlow(subscription);
  }
  uint64_t next = subscription.next_;
  found_.clear();
  if (!subscription.is_ending_) {
    next = subscription.audience_->Find(ring_, subscription.next_, kFlushFramesMax, loop_->now(), &found_);
  }
  // A frame too many for one write is found again next time.
  size_t bytes = 0;
  for (size_t i = 0; i < found_.size(); ++i) {
    bytes += ring_[found_[i]]->chunk().size();
    if (bytes > kFlushBytesMax && i > 0) {
      next = found_[i];
      found_.resize(i);
    }
  }
  if (!Flush(subscription)) {
    return;
  }
  subscription.next_ = next;
  if (next == ring_.end_index()) {
    GoLive(subscription);
  } else {
    MakeRunnable(subscription);
  }
}

bool Hub::Flush(Subscription& subscription) {
  const Framing framing = subscription.audience_->selection().framing;
  pieces_.clear();
  if (subscription.partial_ != nullptr) {
    pieces_.push_back(PieceOf(BytesOf(*subscription.partial_, framing).substr(subscription.partial_written_)));
  }
  if (subscription.control_ != nullptr) {
    pieces_.push_back(PieceOf(absl::string_view(subscription.control_->text).substr(subscription.control_->written)));
  }
  for (const uint64_t index : found_) {
    pieces_.push_back(PieceOf(BytesOf(*ring_[index], framing)));
  }
  if (pieces_.empty()) {
    return true;
  }
  const ssize_t written = subscription.Write(pieces_);
  if (written < 0) {
    End(subscription, EndReason::kClientClosed);
    return false;
  }
  return NoteFlushed(subscription, static_cast<size_t>(written));
}

bool Hub::NoteFlushed(Subscription& subscription, size_t written) {
  metrics_.delivered_bytes.Add(written);
  if (written > 0) {
    subscription.last_progress_ = loop_->now();
  }
  auto next_piece = pieces_.begin();

  if (subscription.partial_ != nullptr) {
    const size_t size = (next_piece++)->iov_len;
    if (written < size) {
      subscription.partial_written_ += static_cast<uint32_t>(written);
      Block(subscription);
      return false;
    }
    written -= size;
    subscription.last_sequence_ = std::max(subscription.last_sequence_, subscription.partial_->sequence());
    subscription.partial_ = nullptr;
    metrics_.deliveries.Add(1);
  }
  if (subscription.control_ != nullptr) {
    const size_t size = (next_piece++)->iov_len;
    if (written < size) {
      subscription.control_->written += written;
      Block(subscription);
      return false;
    }
    written -= size;
    subscription.control_ = nullptr;
    if (subscription.is_ending_) {
      End(subscription, subscription.end_reason_);
      return false;
    }
  }
  for (const uint64_t index : found_) {
    const size_t size = (next_piece++)->iov_len;
    if (written < size) {
      subscription.next_ = index;
      if (written > 0) {
        subscription.partial_ = ring_[index];
        subscription.partial_written_ = static_cast<uint32_t>(written);
        subscription.next_ = index + 1;
      }
      Block(subscription);
      return false;
    }
    written -= size;
    subscription.last_sequence_ = ring_[index]->sequence();
    metrics_.deliveries.Add(1);
  }
  return true;
}

// --- Starting.

absl::Duration Hub::JitteredRetry() { return options_.retry * absl::Uniform(random_, 0.75, 1.25); }

Hub::Opening Hub::Open(Selection& selection, const Start& start) {
  selection.Normalize();
  Opening opening;
  opening.next = ring_.end_index();
  opening.last_sequence = ring_.head_sequence();
  const absl::Duration retry = JitteredRetry();
  const auto open_with_gap = [&](absl::string_view open_id, uint64_t sequence, GapReason reason) {
    loop_->AssertOnLoop();
    // Until the gap has been told the client keeps the id that it asked for, so that a cut in between hides nothing.
    opening.last_sequence = sequence;
    opening.text = EncodeOpen(open_id, retry, options_.heartbeat) +
                   EncodeGap(IdOf(sequence), start.id, OldestId(), reason);
    metrics_.gaps[static_cast<size_t>(reason)].Add(1);
  };

  switch (start.kind) {
    case Start::Kind::kLive:
      break;
    case Start::Kind::kReplayAll:
      opening.next = ring_.begin_index();
      opening.last_sequence = ring_.trimmed_sequence();
      break;
    case Start::Kind::kReplayLast:
      opening.lookback = start.count;
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
      if (position->epoch != epoch_ || position->sequence < ring_.trimmed_sequence()) {
        opening.next = ring_.begin_index();
        open_with_gap(start.id, ring_.trimmed_sequence(),
                      position->epoch != epoch_ ? GapReason::kEpoch : GapReason::kTrimmed);
        return opening;
      }
      opening.last_sequence = position->sequence;
      if (position->sequence > ring_.head_sequence()) {
        opening.stage = Subscription::Stage::kWaiting;
        opening.next = position->sequence;
      } else {
        opening.next = ring_.IndexAfter(position->sequence);
      }
      break;
    }
  }
  opening.text = EncodeOpen(IdOf(opening.last_sequence), retry, options_.heartbeat);
  return opening;
}

void Hub::Add(Subscription& subscription, Selection selection, Opening opening, std::string unsent,
              bool wants_heartbeat_events) {
  const std::string key = selection.Key();
  auto& audience = audiences_[key];
  if (audience == nullptr) {
    audience = std::make_unique<Audience>(std::move(selection));
    for (const topic::Pattern& pattern : audience->selection().patterns) {
      index_.Add(pattern, audience.get());
    }
  }
  ++audience->subscriptions;

  subscription.hub_ = this;
  subscription.audience_ = audience.get();
  subscription.next_ = opening.next;
  subscription.last_sequence_ = opening.last_sequence;
  subscription.wants_heartbeat_events_ = wants_heartbeat_events;
  subscription.heartbeat_at_ = NextHeartbeat();
  if (options_.stream_max_age > absl::ZeroDuration()) {
    subscription.expires_at_ =
        loop_->now() + absl::ToChronoNanoseconds(options_.stream_max_age * absl::Uniform(random_, 0.9, 1.1));
  }
  subscription.last_progress_ = loop_->now();
  if (!unsent.empty()) {
    subscription.control_ = std::make_unique<Subscription::Control>(Subscription::Control{.text = std::move(unsent)});
  }
  all_.push_back(subscription);
  metrics_.streams.Add(1);
  ScheduleTimerOf(subscription);

  if (opening.stage == Subscription::Stage::kWaiting) {
    found_.clear();
    if (Flush(subscription)) {
      Wait(subscription, opening.next);
    }
    return;
  }
  if (opening.lookback > 0) {
    lookbacks_[&subscription] = {.remaining = opening.lookback, .searched_to = ring_.end_index()};
  }
  CatchUp(subscription);
}

bool Hub::FinishLookback(Subscription& subscription) {
  const auto found = lookbacks_.find(&subscription);
  if (found == lookbacks_.end()) {
    return true;
  }
  PendingLookback& lookback = found->second;
  const uint64_t before = std::max(lookback.searched_to, ring_.begin_index());
  const Audience::Lookback result = subscription.audience_->FindBackwards(ring_, before, lookback.remaining);
  lookback.searched_to = result.searched_to;
  lookback.remaining -= result.found;
  if (lookback.remaining > 0 && lookback.searched_to > ring_.begin_index()) {
    return false;
  }
  const uint64_t next = std::max(lookback.searched_to, ring_.begin_index());
  lookbacks_.erase(found);
  subscription.next_ = next;
  subscription.last_sequence_ = next == ring_.begin_index() ? ring_.trimmed_sequence() : ring_[next - 1]->sequence();
  Say(subscription, EncodeOpen(IdOf(subscription.last_sequence_), JitteredRetry(), options_.heartbeat));
  return true;
}

// --- Stages.

void Hub::GoLive(Subscription& subscription) {
  if (subscription.ends_when_live_) {
    SayClosing(subscription, subscription.end_reason_);
    MakeRunnable(subscription);
    return;
  }
  subscription.stage_ = Subscription::Stage::kLive;
  subscription.audience_->AddLive(subscription);
}

void Hub::MakeRunnable(Subscription& subscription) {
  subscription.stage_ = Subscription::Stage::kRunnable;
  runnable_.push_back(subscription);
  loop_->WakeWork();
}

void Hub::Block(Subscription& subscription) {
  subscription.stage_ = Subscription::Stage::kBlocked;
  blocked_.push_back(subscription);
  Pin(subscription);
  ScheduleTimerOf(subscription);
  EndSlowestWhilePinnedTooMuch();
}

void Hub::Wait(Subscription& subscription, uint64_t sequence) {
  subscription.stage_ = Subscription::Stage::kWaiting;
  subscription.next_ = sequence;
  waiting_.push_back(subscription);
  AskForBounds();
}

void Hub::LeaveStage(Subscription& subscription) {
  switch (subscription.stage_) {
    case Subscription::Stage::kLive:
      subscription.audience_->RemoveLive(subscription, ring_.end_index());
      break;
    case Subscription::Stage::kBlocked:
      Unpin(subscription);
      [[fallthrough]];
    case Subscription::Stage::kRunnable:
    case Subscription::Stage::kWaiting:
      subscription.stage_hook_.unlink();
      break;
  }
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
  lookbacks_.erase(&subscription);
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

void Hub::ReleaseAudience(Audience& audience) {
  for (const topic::Pattern& pattern : audience.selection().patterns) {
    index_.Remove(pattern, &audience);
  }
  audiences_.erase(audience.key());
}

// --- What the bridge itself says.

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
  if (subscription.next_ == ring_.end_index()) {
    subscription.last_sequence_ = std::max(subscription.last_sequence_, ring_.head_sequence());
  }
  Say(subscription, EncodeClosing(IdOf(subscription.last_sequence_), NameOf(reason), JitteredRetry()));
  if (is_chunked) {
    absl::StrAppend(&subscription.control_->text, sse::kLastChunk);
  }
  subscription.is_ending_ = true;
  subscription.end_reason_ = reason;
}

void Hub::HandleSlow(Subscription& subscription) {
  if (options_.slow_client == SlowClient::kDisconnect) {
    SayClosing(subscription, EndReason::kSlow);
    return;
  }
  subscription.next_ = ring_.begin_index();
  const uint64_t from = std::max(subscription.last_sequence_,
                                 subscription.partial_ != nullptr ? subscription.partial_->sequence() : 0);
  SayGap(subscription, IdOf(from), ring_.trimmed_sequence(), GapReason::kSlow);
}

void Hub::SayHeartbeat(Subscription& subscription) {
  const bool is_live = subscription.stage_ == Subscription::Stage::kLive;
  if (subscription.stage_ == Subscription::Stage::kBlocked || subscription.control_ != nullptr ||
      subscription.partial_ != nullptr || lookbacks_.contains(&subscription) ||
      (is_live && subscription.audience_->IsOwed(subscription))) {
    return;  // it will be sent something else first
  }
  const uint64_t cursor = is_live ? ring_.head_sequence() : subscription.last_sequence_;
  if (cursor > subscription.last_sequence_ || subscription.wants_heartbeat_events_) {
    subscription.last_sequence_ = std::max(cursor, subscription.last_sequence_);
    Say(subscription, EncodeHeartbeat(IdOf(subscription.last_sequence_)));
  } else {
    Say(subscription, sse::kComment);
  }
  metrics_.heartbeats.Add(1);
  if (subscription.stage_ == Subscription::Stage::kRunnable) {
    return;  // it goes out with the rest
  }
  const uint64_t awaited = subscription.next_;
  LeaveStage(subscription);
  found_.clear();
  if (!Flush(subscription)) {
    return;
  }
  if (is_live) {
    GoLive(subscription);
  } else {
    Wait(subscription, awaited);
  }
}

void Hub::EndGracefully(Subscription& subscription, EndReason reason) {
  subscription.ends_when_live_ = true;
  subscription.end_reason_ = reason;
  if (subscription.stage_ == Subscription::Stage::kLive) {
    LeaveStage(subscription);
    MakeRunnable(subscription);
  } else if (subscription.stage_ == Subscription::Stage::kWaiting) {
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

// --- Cursors that are ahead of this replica.

void Hub::AskForBounds() {
  if (is_asking_for_bounds_) {
    return;
  }
  is_asking_for_bounds_ = true;
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
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    Subscription& subscription = *it++;
    if (subscription.next_ > bounds->newest) {
      LeaveStage(subscription);
      SayGap(subscription, IdOf(subscription.next_), ring_.head_sequence(), GapReason::kAhead);
      subscription.next_ = ring_.end_index();
      MakeRunnable(subscription);
    }
  }
}

void Hub::WakeWaiting() {
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    Subscription& subscription = *it++;
    if (subscription.next_ <= ring_.head_sequence()) {
      LeaveStage(subscription);
      // Where the ring has already passed it, the cursor before the ring's begin tells so.
      subscription.next_ = subscription.next_ < ring_.trimmed_sequence()
                               ? 0
                               : ring_.IndexAfter(subscription.next_);
      MakeRunnable(subscription);
    }
  }
}

// --- Bookkeeping.

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

std::string Hub::OldestId() const {
  return ring_.begin_index() == ring_.end_index() ? std::string() : IdOf(ring_[ring_.begin_index()]->sequence());
}

void Hub::NoteHistory() {
  metrics_.history_events.Set(ring_.end_index() - ring_.begin_index());
  metrics_.history_bytes.Set(ring_.footprint_bytes());
}

void Hub::TidyTimer::OnTimer() {
  hub_->loop_->AssertOnLoop();
  hub_->Tidy();
}

void Hub::Tidy() {
  ring_.TrimByAge(loop_->now());
  NoteHistory();
  metrics_.history_oldest_ms.Set(static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(ring_.OldestAge(loop_->now())).count()));
  for (auto& [key, audience] : audiences_) {
    audience->Tidy(loop_->now());
  }
  if (!waiting_.empty()) {
    AskForBounds();
  }
  loop_->Schedule(tidy_timer_, kTidyInterval);
}

}  // namespace bridge::hub
