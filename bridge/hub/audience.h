#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <sys/uio.h>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "bridge/hub/posting_list.h"
#include "bridge/hub/ring.h"
#include "bridge/hub/subscription.h"
#include "bridge/sse/frame.h"
#include "bridge/topic/pattern.h"

namespace bridge::hub {

// How frames are put on the wire: as HTTP chunks, or plain for HTTP/1.0.
enum class Framing : uint8_t { kChunked, kPlain };

// What an event stream asks for.
struct Selection {
  absl::InlinedVector<topic::Pattern, 1> patterns;
  // Only these types; all where empty.
  std::vector<std::string> types;
  Framing framing = Framing::kChunked;

  // Sorts and removes repeats, so that what asks for the same is equal.
  void Normalize();
  // Of the topic and the type. REQUIRES, both: it is normalized.
  bool Matches(absl::string_view topic, const sse::Frame& frame) const;
  bool MatchesType(const sse::Frame& frame) const;
  // The memory that patterns and types take, here and in an index, roughly: what they share with others is not known.
  size_t PatternBytes() const;

  friend bool operator==(const Selection&, const Selection&) = default;
  template <typename H>
  friend H AbslHashValue(H state, const Selection& selection) {
    return H::combine(std::move(state), selection.patterns, selection.types, selection.framing);
  }
};

// The bytes of `frame` in that framing.
inline absl::string_view BytesOf(const sse::Frame& frame, Framing framing) {
  return framing == Framing::kChunked ? frame.chunk() : frame.text();
}

inline iovec PieceOf(absl::string_view bytes) {
  return {.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
}

// The event streams of one loop that have the same selection. What they are owed is put together once for all of them:
// that is what makes a delivery one system call and little more.
//
// Lives on its hub's EventLoop.
class Audience {
 public:
  // A frame that the live streams are owed.
  struct Item {
    sse::FramePtr frame;
    // The ring index from which a stream goes on that has this item not, and that has it.
    uint64_t index_before;
    uint64_t index_after;
  };

  explicit Audience(Selection selection) : selection_(std::move(selection)) {}
  Audience(const Audience&) = delete;
  Audience& operator=(const Audience&) = delete;

  const Selection& selection() const { return selection_; }
  bool IsOneTopic() const { return selection_.patterns.size() == 1 && selection_.patterns[0].IsLiteral(); }

  // --- The live streams.

  bool has_live() const { return !live_.empty(); }
  // REQUIRES: has_live().
  Subscription& LastLive() { return *live_.back(); }
  void AddLive(Subscription& subscription);
  // Sets its cursor to where it stands.
  void RemoveLive(Subscription& subscription, uint64_t ring_end);

  // --- What they are owed: `items` go out now, in one write to each stream; what comes meanwhile waits for the next
  // round.

  bool is_owed() const { return fan_out_ != nullptr; }
  bool IsOwed(const Subscription& subscription) const;
  void Owe(Item item);

  // The round that is going on.
  struct Round {
    std::vector<Item> items;
    std::vector<iovec> pieces;
    size_t bytes = 0;
    // The sequence of the last kept item; 0 where all are ephemeral.
    uint64_t last_sequence = 0;
    // The number of the first item.
    uint64_t first_number = 0;
    // The live streams below this place have been served.
    size_t position = 0;
  };
  // Begins a round where none is going on. REQUIRES: is_owed().
  Round& CurrentRound();
  Subscription& NextToServe() { return *live_[fan_out_->round.position]; }
  bool IsRoundServed() const { return fan_out_->round.position == live_.size(); }
  // Returns the bytes that are no longer owed. REQUIRES: IsRoundServed().
  size_t EndRound();
  // How many of the round's items the stream must not get, because it has them from the ring.
  static size_t ItemsToSkip(const Subscription& subscription, const Round& round);

  // --- Where its records stand in the ring, for streams that catch up.

  struct Found {
    // Where to look next; a stream has caught up when that is the ring's end.
    uint64_t next = 0;
    // How many records have been compared with patterns or types.
    uint64_t scanned = 0;
  };
  // Appends to `indexes` the places of matching records from `next` on, at most `count_max`. Scans a bounded number of
  // records.
  Found Find(const Ring& ring, uint64_t next, size_t count_max, base::MonotonicTime now,
             std::vector<uint64_t>* indexes);
  // The place of the last record, searching backwards from `before` (exclusive) by a bounded number of records.
  struct Lookback {
    uint64_t searched_to = 0;
    uint64_t found = 0;
  };
  Lookback FindBackwards(const Ring& ring, uint64_t before, uint64_t count_max) const;

  // Frees what nobody has used for a while.
  void Tidy(base::MonotonicTime now);
  // One of its streams has caught up.
  void NoteCaughtUp();
  // What has been found in the ring and is kept to be found again is only a cache.
  size_t matches_bytes() const { return matches_ == nullptr ? 0 : matches_->indexes.size() * sizeof(uint64_t); }
  void DropMatches() { matches_.reset(); }

  // --- For the hub.

  // The number of streams, live or not.
  size_t subscriptions = 0;
  // The hub's mark that this frame has been seen for this audience.
  uint64_t last_seen_tick = 0;

 private:
  struct FanOut {
    size_t waiting_count() const { return waiting.size() - taken; }

    Round round;
    // Those before `taken` are in a round, or were.
    std::vector<Item> waiting;
    size_t taken = 0;
    size_t waiting_bytes = 0;
  };

  // The matching records of [begin, end) of the ring.
  struct Matches {
    PostingList indexes;
    uint64_t begin = 0;
    uint64_t end = 0;
    base::MonotonicTime used_at;
  };

  // How many records one call compares with the patterns.
  uint64_t RecordsToScan() const;
  const Item* FirstOwed(const Subscription& subscription) const;

  const Selection selection_;
  // Two take no memory of their own, and no more room here than the vector of many: most audiences have one.
  absl::InlinedVector<Subscription*, 2> live_;
  static_assert(sizeof(live_) == sizeof(std::vector<Subscription*>));
  std::unique_ptr<FanOut> fan_out_;
  // How many items have been owed so far.
  uint64_t items_total_ = 0;
  std::unique_ptr<Matches> matches_;
};

// All audiences of a hub, to be found by what they select.
struct SelectionHash {
  using is_transparent = void;
  size_t operator()(const Selection& selection) const { return absl::Hash<Selection>()(selection); }
  size_t operator()(const std::unique_ptr<Audience>& audience) const { return (*this)(audience->selection()); }
};
struct SelectionEq {
  using is_transparent = void;
  bool operator()(const std::unique_ptr<Audience>& a, const std::unique_ptr<Audience>& b) const { return a == b; }
  bool operator()(const std::unique_ptr<Audience>& audience, const Selection& selection) const {
    return audience->selection() == selection;
  }
};
using AudienceSet = absl::flat_hash_set<std::unique_ptr<Audience>, SelectionHash, SelectionEq>;

}  // namespace bridge::hub
