#include "bridge/hub/hub.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/string_view.h"

namespace bridge::hub {
namespace {

// A slice of work is so many sends: half a millisecond.
constexpr int kSendsPerSlice = 128;

constexpr auto kTidyInterval = std::chrono::seconds(1);
// Where there is more to be tidied than one call does.
constexpr auto kTidyAgain = std::chrono::milliseconds(20);

// What audiences keep to find their records in the ring again, in all.
constexpr size_t kMatchesBytesMax = size_t{64} << 20;

}  // namespace

Hub::Hub(loop::EventLoop* loop, log::EventLog* log, StoreReader* store, const HubOptions& options,
         absl::AnyInvocable<void()> on_ready)
    : loop_(loop),
      log_(log),
      store_(store),
      options_(options),
      self_(std::make_shared<Hub*>(this)),
      ring_(options.history),
      on_ready_(std::move(on_ready)),
      pace_timer_([this] {
        loop_->AssertOnLoop();
        LetHeldBackGoOn();
      }),
      tidy_timer_([this] {
        loop_->AssertOnLoop();
        Tidy();
      }) {
  loop_->AssertOnLoop();
  loop_->Schedule(tidy_timer_, kTidyInterval);
}

Hub::~Hub() {
  loop_->AssertOnLoop();
  assert(all_.empty());
  *self_ = nullptr;
  loop_->Cancel(static_cast<loop::Work&>(*this));
  loop_->Cancel(tidy_timer_);
  loop_->Cancel(pace_timer_);
}

// --- Work, in slices.

bool Hub::RunSlice() {
  loop_->AssertOnLoop();
  int budget = kSendsPerSlice;
  while (budget > 0) {
    if (HasTokenEndsDue()) {
      budget -= TellTokenEnds(std::min(budget, kSendsPerTurn));
    }
    if (MayTakeArrival()) {
      budget -= TakeArrival();
    }
    if (owed_.empty() && runnable_.empty()) {
      if (inbox_.empty() && !HasTokenEndsDue()) {
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
      budget -= CatchUp(subscription);
    }
  }
  return !inbox_.empty() || !owed_.empty() || !runnable_.empty() || HasTokenEndsDue();
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

// --- Bookkeeping.

void Hub::NoteHistory() {
  metrics_.history_events.Set(ring_.end_index() - ring_.begin_index());
  metrics_.history_bytes.Set(ring_.footprint_bytes());
}

void Hub::Tidy() {
  NoteWallTime();
  const bool is_trimmed = ring_.TrimByAge(loop_->now());
  NoteHistory();
  metrics_.history_oldest_ms.Set(static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(ring_.OldestAge(loop_->now())).count()));
  matches_bytes_ = 0;
  for (const auto& audience : audiences_) {
    audience->Tidy(loop_->now());
    matches_bytes_ += audience->matches_bytes();
  }
  if (loop_->now() - asked_again_at_ >= kTidyInterval) {
    asked_again_at_ = loop_->now();
    AskForBounds();
    FetchAgain();
  }
  loop_->Schedule(tidy_timer_, is_trimmed ? kTidyInterval : kTidyAgain);
}

void Hub::DropMatchesWhereTooMany() {
  if (matches_bytes_ <= kMatchesBytesMax) {
    return;
  }
  for (const auto& audience : audiences_) {
    audience->DropMatches();
  }
  matches_bytes_ = 0;
}

}  // namespace bridge::hub
