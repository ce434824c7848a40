// How a stream that is not live catches up: what it is owed is found from its cursor and written as far as its
// transport takes it.
#include <algorithm>
#include <utility>

#include "bridge/hub/control_events.h"
#include "bridge/hub/hub.h"

namespace bridge::hub {

int Hub::CatchUp(Subscription& subscription) {
  subscription.stage_ = Subscription::Stage::kRunnable;
  found_.clear();
  if (!lookbacks_.empty() && !FinishLookback(subscription)) {
    MakeRunnable(subscription);
    return kSendsPerTurn;
  }
  if (subscription.awaited_ != 0 && !subscription.is_ending_) {
    if (Flush(subscription)) {
      Wait(subscription);
    }
    return 1;
  }
  if (!subscription.reads_store_ && subscription.next_ < ring_.begin_index() && !subscription.is_ending_) {
    HandleSlow(subscription);
  }
  if (!replays_.empty() && !subscription.is_ending_ && HoldReplayBack(subscription)) {
    return 1;
  }
  return subscription.reads_store_ ? CatchUpFromStore(subscription) : CatchUpFromRing(subscription);
}

int Hub::CatchUpFromRing(Subscription& subscription) {
  Audience::Found search{.next = subscription.next_};
  found_indexes_.clear();
  if (!subscription.is_ending_) {
    Audience& audience = *subscription.audience_;
    const size_t matches_bytes = audience.matches_bytes();
    search = audience.Find(ring_, subscription.next_, kFlushFramesMax, loop_->now(), &found_indexes_);
    matches_bytes_ += std::max(audience.matches_bytes(), matches_bytes) - matches_bytes;
    DropMatchesWhereTooMany();
  }
  size_t bytes = 0;
  for (const uint64_t index : found_indexes_) {
    bytes += ring_[index]->chunk().size();
    if (bytes > kFlushBytesMax && !found_.empty()) {
      search.next = index;  // it is found again next time
      break;
    }
    found_.push_back({.frame = &ring_[index], .next = index});
  }
  const int cost = 1 + static_cast<int>(search.scanned / kScansPerSend);
  ChargeReplay(subscription);
  if (!Flush(subscription)) {
    return cost;
  }
  subscription.next_ = search.next;
  if (search.next == ring_.end_index()) {
    GoLive(subscription);
  } else {
    MakeRunnable(subscription);
  }
  return cost;
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
  for (const Found& found : found_) {
    pieces_.push_back(PieceOf(BytesOf(**found.frame, framing)));
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
  for (const Found& found : found_) {
    const size_t size = (next_piece++)->iov_len;
    if (written < size) {
      subscription.next_ = found.next;
      if (written > 0) {
        subscription.partial_ = *found.frame;
        subscription.partial_written_ = static_cast<uint32_t>(written);
        subscription.next_ = found.next + 1;
      }
      Block(subscription);
      return false;
    }
    written -= size;
    subscription.last_sequence_ = (*found.frame)->sequence();
    metrics_.deliveries.Add(1);
  }
  return true;
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
  const bool is_cut = lookback.is_cut && lookback.remaining == 0 && next > ring_.begin_index();
  lookbacks_.erase(found);
  subscription.next_ = next;
  subscription.last_sequence_ = ring_.SequenceBefore(next);
  Say(subscription, EncodeOpen(IdOf(subscription.last_sequence_), JitteredRetry(), options_.heartbeat));
  if (is_cut) {
    SayGap(subscription, /*requested=*/"", subscription.last_sequence_, GapReason::kReplayLimit);
  }
  return true;
}

}  // namespace bridge::hub
