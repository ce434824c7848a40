#include "bridge/hub/audience.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace bridge::hub {
namespace {

// What goes out in one write: the kernel takes 1,024 pieces, and a socket buffer holds some 100 KiB.
constexpr size_t kRoundItemsMax = 128;
constexpr size_t kRoundBytesMax = size_t{64} << 10;

// What one call compares, records with patterns: some 100 microseconds.
constexpr uint64_t kScanMax = 4096;

// A pattern's text, its node in the index and one at which it branches off from others; a type's text.
constexpr size_t kPatternBytes = 400;
constexpr size_t kTypeBytes = 64;

constexpr auto kMatchesKeptFor = std::chrono::seconds(30);

}  // namespace

void Selection::Normalize() {
  const auto by_text = [](const topic::Pattern& a, const topic::Pattern& b) { return a.text() < b.text(); };
  const auto same_text = [](const topic::Pattern& a, const topic::Pattern& b) { return a.text() == b.text(); };
  std::sort(patterns.begin(), patterns.end(), by_text);
  patterns.erase(std::unique(patterns.begin(), patterns.end(), same_text), patterns.end());
  std::sort(types.begin(), types.end());
  types.erase(std::unique(types.begin(), types.end()), types.end());
  patterns.shrink_to_fit();
  types.shrink_to_fit();
}

size_t Selection::PatternBytes() const {
  size_t bytes = 0;
  for (const topic::Pattern& pattern : patterns) {
    bytes += kPatternBytes + 2 * pattern.text().size();
  }
  for (const std::string& type : types) {
    bytes += kTypeBytes + type.size();
  }
  return bytes;
}

bool Selection::MatchesType(const sse::Frame& frame) const {
  return types.empty() || std::binary_search(types.begin(), types.end(), frame.type());
}

bool Selection::Matches(absl::string_view topic, const sse::Frame& frame) const {
  return MatchesType(frame) && std::any_of(patterns.begin(), patterns.end(),
                                           [&](const topic::Pattern& pattern) { return pattern.Matches(topic); });
}

void Audience::AddLive(Subscription& subscription) {
  subscription.joined_ = items_total_;
  subscription.live_index_ = static_cast<uint32_t>(live_.size());
  live_.push_back(&subscription);
}

void Audience::RemoveLive(Subscription& subscription, uint64_t ring_end) {
  const Item* const owed = FirstOwed(subscription);
  subscription.next_ = owed != nullptr ? owed->index_before : ring_end;

  const auto move = [this](size_t from, size_t to) {
    live_[to] = live_[from];
    live_[to]->live_index_ = static_cast<uint32_t>(to);
  };
  size_t hole = subscription.live_index_;
  if (fan_out_ != nullptr && hole < fan_out_->round.position) {
    // The hole moves to the end of those that have been served, so that the last stream, which has not been, is not
    // passed over.
    --fan_out_->round.position;
    move(fan_out_->round.position, hole);
    hole = fan_out_->round.position;
  }
  if (hole != live_.size() - 1) {
    move(live_.size() - 1, hole);
  }
  live_.pop_back();
  if (live_.empty()) {
    live_.shrink_to_fit();
  }
}

bool Audience::IsOwed(const Subscription& subscription) const { return FirstOwed(subscription) != nullptr; }

const Audience::Item* Audience::FirstOwed(const Subscription& subscription) const {
  if (fan_out_ == nullptr) {
    return nullptr;
  }
  const Round& round = fan_out_->round;
  if (subscription.live_index_ >= round.position) {
    const size_t skip = ItemsToSkip(subscription, round);
    if (skip < round.items.size()) {
      return &round.items[skip];
    }
  }
  const uint64_t waiting_first = items_total_ - fan_out_->waiting_count();
  const uint64_t skip = subscription.joined_ > waiting_first ? subscription.joined_ - waiting_first : 0;
  return skip < fan_out_->waiting_count() ? &fan_out_->waiting[fan_out_->taken + skip] : nullptr;
}

void Audience::Owe(Item item) {
  if (fan_out_ == nullptr) {
    fan_out_ = std::make_unique<FanOut>();
  }
  ++items_total_;
  fan_out_->waiting_bytes += BytesOf(*item.frame, selection_.framing).size();
  fan_out_->waiting.push_back(std::move(item));
}

Audience::Round& Audience::CurrentRound() {
  Round& round = fan_out_->round;
  if (!round.items.empty()) {
    return round;
  }
  std::vector<Item>& waiting = fan_out_->waiting;
  size_t& taken = fan_out_->taken;
  round.first_number = items_total_ - fan_out_->waiting_count();
  while (taken < waiting.size() && round.items.size() < kRoundItemsMax &&
         (round.items.empty() || round.bytes < kRoundBytesMax)) {
    const Item& item = round.items.emplace_back(std::move(waiting[taken++]));
    const absl::string_view bytes = BytesOf(*item.frame, selection_.framing);
    round.pieces.push_back(PieceOf(bytes));
    round.bytes += bytes.size();
    if (!item.frame->is_ephemeral()) {
      round.last_sequence = item.frame->sequence();
    }
  }
  // Moving the rest when half is gone makes each item move once on average.
  if (taken * 2 >= waiting.size()) {
    waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(taken));
    taken = 0;
  }
  fan_out_->waiting_bytes -= round.bytes;
  return round;
}

size_t Audience::EndRound() {
  assert(IsRoundServed());
  Round& round = fan_out_->round;
  size_t bytes = round.bytes;
  if (live_.empty()) {
    // Nobody is left to whom the rest could be owed.
    bytes += fan_out_->waiting_bytes;
  }
  if (live_.empty() || fan_out_->waiting_count() == 0) {
    fan_out_.reset();
    return bytes;
  }
  round.items.clear();
  round.pieces.clear();
  round.bytes = 0;
  round.last_sequence = 0;
  round.position = 0;
  return bytes;
}

size_t Audience::ItemsToSkip(const Subscription& subscription, const Round& round) {
  return subscription.joined_ > round.first_number ? static_cast<size_t>(subscription.joined_ - round.first_number) : 0;
}

uint64_t Audience::RecordsToScan() const { return std::max<uint64_t>(kScanMax / selection_.patterns.size(), 1); }

Audience::Found Audience::Find(const Ring& ring, uint64_t next, size_t count_max, base::MonotonicTime now,
                               std::vector<uint64_t>* indexes) {
  const uint64_t end = ring.end_index();
  if (next == end) {
    return {.next = end};
  }
  uint64_t scanned = 0;
  const PostingList* list = nullptr;
  uint64_t list_end = end;
  if (IsOneTopic()) {
    list = ring.PostingsOf(selection_.patterns[0].text());
    if (list == nullptr) {
      return {.next = end};
    }
  } else {
    if (matches_ == nullptr || next < matches_->begin) {
      matches_ = std::make_unique<Matches>();
      matches_->begin = next;
      matches_->end = next;
    }
    matches_->used_at = now;
    matches_->end = std::max(matches_->end, ring.begin_index());
    matches_->indexes.TrimBelow(ring.begin_index());
    const uint64_t scan_end = std::min(end, matches_->end + RecordsToScan());
    scanned = (scan_end - matches_->end) * selection_.patterns.size();
    for (; matches_->end < scan_end; ++matches_->end) {
      if (selection_.Matches(ring.TopicOf(matches_->end), *ring[matches_->end])) {
        matches_->indexes.Append(matches_->end);
      }
    }
    list = &matches_->indexes;
    list_end = matches_->end;
  }
  const size_t first = list->LowerBound(next);
  for (size_t i = first; i < list->size(); ++i) {
    const uint64_t index = (*list)[i];
    if (indexes->size() == count_max || i - first == kScanMax) {
      return {.next = index, .scanned = scanned + (i - first)};
    }
    if (selection_.MatchesType(*ring[index])) {
      indexes->push_back(index);
    }
  }
  return {.next = std::max(next, list_end), .scanned = scanned + (list->size() - first)};
}

Audience::Lookback Audience::FindBackwards(const Ring& ring, uint64_t before, uint64_t count_max) const {
  Lookback result{.searched_to = before};
  if (IsOneTopic()) {
    const PostingList* const list = ring.PostingsOf(selection_.patterns[0].text());
    if (list == nullptr) {
      return {.searched_to = ring.begin_index()};
    }
    size_t place = list->LowerBound(before);
    for (uint64_t looked_at = 0; place > 0 && looked_at < kScanMax && result.found < count_max; ++looked_at) {
      --place;
      result.searched_to = (*list)[place];
      result.found += selection_.MatchesType(*ring[result.searched_to]) ? 1U : 0U;
    }
    if (place == 0 && result.found < count_max) {
      result.searched_to = ring.begin_index();
    }
    return result;
  }
  const uint64_t stop = std::max(ring.begin_index(), before - std::min(before, RecordsToScan()));
  while (result.searched_to > stop && result.found < count_max) {
    --result.searched_to;
    result.found += selection_.Matches(ring.TopicOf(result.searched_to), *ring[result.searched_to]) ? 1U : 0U;
  }
  return result;
}

void Audience::Tidy(base::MonotonicTime now) {
  if (matches_ != nullptr && now - matches_->used_at > kMatchesKeptFor) {
    matches_.reset();
  }
}

void Audience::NoteCaughtUp() {
  if (subscriptions == 1) {
    matches_.reset();  // nobody else could use it
  }
}

}  // namespace bridge::hub
