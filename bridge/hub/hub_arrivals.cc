// How records come into a hub, and who is owed them.
//
// Strangers choose the patterns, and can make the match of one frame take milliseconds. So it is made in parts. Until
// it is done, the frame has not come: it stands neither in the ring nor before any stream, and the index stays as it
// is. What comes and goes meanwhile, comes and goes before the frame.
#include <algorithm>
#include <iterator>
#include <utility>

#include "bridge/hub/hub.h"

namespace bridge::hub {
namespace {

// Taking so many frames, or owing a frame to so many audiences, costs about as much as one send.
constexpr int kFramesPerSend = 16;
// So many steps of a match cost about as much as taking a frame.
constexpr int kStepsPerFrame = 4;

// While the streams are owed more than this, the hub takes no further frames: the feed stalls, and publishers are read
// more slowly. Enough for each of ten thousand topics to be owed several events, which then go out together.
constexpr size_t kOwedBytesMax = size_t{16} << 20;

}  // namespace

void Hub::PostEpoch(uint64_t epoch, uint64_t head) {
  PostArrival({.kind = Arrival::Kind::kEpoch, .epoch = epoch, .head = head});
}

void Hub::PostCaughtUp() { PostArrival({.kind = Arrival::Kind::kCaughtUp}); }

void Hub::PostGap(uint64_t head) { PostArrival({.kind = Arrival::Kind::kGap, .head = head}); }

void Hub::PostFrames(std::shared_ptr<const FrameBatch> batch) {
  PostArrival({.kind = Arrival::Kind::kFrames, .batch = std::move(batch)});
}

void Hub::PostArrival(Arrival arrival) {
  loop_->Post([self = self_, arrived = std::move(arrival)]() mutable {
    if (Hub* hub = *self) {
      hub->loop_->AssertOnLoop();
      hub->inbox_.push_back(std::move(arrived));
      hub->loop_->Wake(*hub);
    }
  });
}

int Hub::TakeArrival() {
  if (inbox_.front().kind == Arrival::Kind::kFrames) {
    return TakeFrames();
  }
  const Arrival arrival = std::move(inbox_.front());
  inbox_.pop_front();
  switch (arrival.kind) {
    case Arrival::Kind::kEpoch:
      BeginEpoch(arrival.epoch, arrival.head);
      break;
    case Arrival::Kind::kGap:
      SkipTo(arrival.head);
      break;
    case Arrival::Kind::kCaughtUp:
      is_caught_up_ = true;
      BecomeReady();
      break;
    case Arrival::Kind::kFrames:
      break;  // taken above
  }
  return 1;
}

bool Hub::MayTakeArrival() const { return !inbox_.empty() && owed_bytes_ < kOwedBytesMax; }

int Hub::TakeFrames() {
  constexpr int kFramesPerTurn = kSendsPerTurn * kFramesPerSend;
  const FrameList& list = inbox_.front().batch->list;
  int taken = 0;
  while (inbox_position_ < list.size() && taken < kFramesPerTurn && owed_bytes_ < kOwedBytesMax) {
    const base::RefCountedString& topic = list.topic(inbox_position_);
    taken += 1 + MatchTopic(topic, (kFramesPerTurn - taken) * kStepsPerFrame) / kStepsPerFrame;
    if (!match_.is_done()) {
      break;
    }
    taken += static_cast<int>(TakeFrame(list.frames()[inbox_position_], topic));
    ++inbox_position_;
  }
  if (inbox_position_ == list.size()) {
    inbox_.pop_front();
    inbox_position_ = 0;
  }
  WakeWaiting();
  NoteHistory();
  return 1 + taken / kFramesPerSend;
}

int Hub::MatchTopic(absl::string_view topic, int steps_max) {
  if (match_.is_done()) {
    ++tick_;
    index_.Begin(topic, match_);
  }
  const auto note = [this](Audience* audience) {
    loop_->AssertOnLoop();
    if (audience->last_seen_tick != tick_) {  // else two of its patterns match
      audience->last_seen_tick = tick_;
      matched_.push_back(audience);
    }
  };
  return static_cast<int>(index_.Continue(match_, static_cast<size_t>(steps_max), note));
}

size_t Hub::TakeFrame(const sse::FramePtr& frame, const base::RefCountedString& topic) {
  std::copy_if(unindexed_.begin(), unindexed_.end(), std::back_inserter(matched_),
               [&](const Audience* audience) { return audience->selection().Matches(topic, *frame); });
  size_t ended = 0;
  if (!options_.end_type.empty() && frame->type() == options_.end_type) {
    for (Audience* const audience : matched_) {
      ended += EndLive(*audience);
    }
  }
  const uint64_t index_before = ring_.end_index();
  if (!frame->is_ephemeral()) {
    ring_.Append(frame, topic);
  }
  const uint64_t index_after = ring_.end_index();
  size_t audiences = 0;
  for (Audience* const audience : matched_) {
    if (!audience->has_live() || !audience->selection().MatchesType(*frame)) {
      continue;
    }
    ++audiences;
    if (!audience->is_owed()) {
      owed_.push_back(audience);
    }
    audience->Owe({.frame = frame, .index_before = index_before, .index_after = index_after});
    owed_bytes_ += BytesOf(*frame, audience->selection().framing).size();
  }
  const size_t compared = matched_.size() / kStepsPerFrame;
  matched_.clear();
  CatchUpWithAudiences();
  return audiences + ended + compared;
}

size_t Hub::EndLive(Audience& audience) {
  size_t ended = 0;
  for (; audience.IsOneTopic() && audience.has_live(); ++ended) {
    Subscription& subscription = audience.LastLive();
    LeaveStage(subscription);
    MakeRunnable(subscription);
  }
  return ended;
}

// --- Audiences come and go.

bool Hub::HasAudience(const Selection& selection) const { return audiences_.contains(selection); }

Audience& Hub::AudienceOf(Selection selection) {
  const auto found = audiences_.find(selection);
  if (found != audiences_.end()) {
    return **found;
  }
  Audience& audience = **audiences_.insert(std::make_unique<Audience>(std::move(selection))).first;
  metrics_.pattern_bytes.Add(audience.selection().PatternBytes());
  unindexed_.push_back(&audience);
  if (match_.is_done()) {
    CatchUpWithAudiences();
  }
  return audience;
}

void Hub::ReleaseAudience(Audience& audience) {
  unreleased_.insert(&audience);
  if (match_.is_done()) {
    CatchUpWithAudiences();
  }
}

void Hub::CatchUpWithAudiences() {
  for (Audience* const audience : unindexed_) {
    for (const topic::Pattern& pattern : audience->selection().patterns) {
      index_.Add(pattern, audience);
    }
  }
  unindexed_.clear();
  for (Audience* const audience : unreleased_) {
    if (audience->subscriptions > 0 || audience->is_owed()) {
      continue;  // somebody has come, and it is released when they have gone
    }
    for (const topic::Pattern& pattern : audience->selection().patterns) {
      index_.Remove(pattern, audience);
    }
    metrics_.pattern_bytes.Sub(audience->selection().PatternBytes());
    audiences_.erase(audiences_.find(audience->selection()));
  }
  unreleased_.clear();
}

}  // namespace bridge::hub
