#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/random/random.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "bridge/hub/audience.h"
#include "bridge/hub/feed.h"
#include "bridge/hub/hub_metrics.h"
#include "bridge/hub/hub_options.h"
#include "bridge/hub/ring.h"
#include "bridge/hub/store_reader.h"
#include "bridge/hub/subscription.h"
#include "bridge/log/event_log.h"
#include "bridge/log/position.h"
#include "bridge/loop/callback_timer.h"
#include "bridge/loop/event_loop.h"
#include "bridge/topic/pattern_index.h"

namespace bridge::hub {

// Where an event stream starts.
struct Start {
  enum class Kind { kLive, kAfterId, kReplayLast, kReplayAll };
  Kind kind = Kind::kLive;
  // As the client sent it, for kAfterId.
  std::string id;
  // For kReplayLast.
  uint64_t count = 0;
  // The data of bridge.open, where it has more than the time between heartbeats. REQUIRES: empty for kReplayLast.
  std::string open_data = {};
};

// How an event stream is served.
struct StreamTerms {
  bool wants_heartbeat_events = false;
  // On the wall clock: the stream ends then, because its token does.
  absl::Time ends = absl::InfiniteFuture();
};

// Serves the event streams of one loop: it gets every record in order, keeps its own index of the ring and its own
// subscriptions, and shares nothing with the other loops but the bytes of frames and of topics' names. What is older
// than the ring it reads from the store, page by page.
//
// Lives on its EventLoop, except for what is said to be thread-safe. Replay and live are one mechanism, a cursor that
// moves through the ring, so that the seam between them can neither lose nor repeat. A stream that takes what it is
// given is in its audience's live list and is written to in rounds; one that does not is a cursor in the run queue (or
// blocked). Long fan-outs and scans are done in slices.
class Hub final : public FrameSink, public PageSink, private loop::Work {
 public:
  // `store` reads what is older than the ring; nullptr where the log has nothing older. `on_ready` is called once, on
  // the loop, when is_ready() becomes true.
  Hub(loop::EventLoop* loop, log::EventLog* log, StoreReader* store, const HubOptions& options,
      absl::AnyInvocable<void()> on_ready);
  ~Hub() override;

  // Thread-safe (FrameSink).
  void PostEpoch(uint64_t epoch, uint64_t head) override;
  void PostCaughtUp() override;
  void PostGap(uint64_t head) override;
  void PostFrames(std::shared_ptr<const FrameBatch> batch) override;
  // Thread-safe (PageSink).
  void PostPage(FramePagePtr page) override;
  void PostTrimmed(log::Position last_trimmed) override;

  // A stream that is about to start: its cursor, and the text that opens it.
  struct Opening {
    // Preamble and first control events, as SSE text, to be sent before anything else.
    std::string text;

   private:
    friend class Hub;
    uint64_t next_ = 0;
    uint64_t awaited_ = 0;
    uint64_t last_sequence_ = 0;
    // The last N matches are still to be looked for, and bridge.open to be said after that.
    uint64_t lookback_ = 0;
    // What is too much of the replay is left out: it was asked for, and not missed.
    bool may_be_cut_ = false;
    bool reads_store_ = false;
    bool starts_at_oldest_ = false;
  };
  // REQUIRES: is_ready().
  Opening Open(Selection& selection, const Start& start) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  // A stream has this selection already: one more takes no memory for it. REQUIRES: it is normalized.
  bool HasAudience(const Selection& selection) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  // Begins to serve `subscription`; `unsent` (response head and opening, in its framing) is written first.
  // The hub may call OnEnd before it returns.
  void Add(Subscription& subscription, Selection selection, const Opening& opening, std::string unsent,
           const StreamTerms& terms) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  // The transport takes bytes again.
  void NoteWritable(Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  // Ends the stream at once, calling OnEnd.
  void End(Subscription& subscription, EndReason reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  // Ends all streams, one by one over `window`, each written up to the log's end and told bridge.closing with a retry
  // of its own; calls `done` when none is left, at the latest when the window is over.
  void Drain(absl::Duration window, absl::AnyInvocable<void()> done) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  // Ends all streams at once, and asks the log nothing more: it may be destroyed before the hub.
  void EndAll(EndReason reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  // A reconnection time for one client.
  absl::Duration JitteredRetry() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  // The replica has caught up with its log, once: it stays so, also while the store is away.
  bool is_ready() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_) { return on_ready_ == nullptr; }
  const HubMetrics& metrics() const { return metrics_; }
  loop::EventLoop& loop() const ABSL_LOCK_RETURNED(loop_) { return *loop_; }

 private:
  friend class Subscription;

  // One audience or stream gets so many sends before it is another's turn.
  static constexpr int kSendsPerTurn = 32;
  // Comparing so many records with patterns or types costs about as much as one send.
  static constexpr int kScansPerSend = 256;
  // What a stream that catches up gets in one write.
  static constexpr size_t kFlushFramesMax = 128;
  static constexpr size_t kFlushBytesMax = size_t{128} << 10;

  class DrainState;

  // Something that came from the log, in its order.
  struct Arrival {
    enum class Kind : uint8_t { kFrames, kEpoch, kCaughtUp, kGap };
    Kind kind;
    std::shared_ptr<const FrameBatch> batch = nullptr;
    uint64_t epoch = 0;
    uint64_t head = 0;
  };

  // --- Records come in.
  void PostArrival(Arrival arrival);
  bool MayTakeArrival() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // These return what they cost, in sends.
  int TakeArrival() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  int TakeFrames() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // Goes on to find its audiences; it is done when match_ is. Returns how many steps it took.
  int MatchTopic(absl::string_view topic, int steps_max) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // Returns what it costs, in frames: audiences are looked at and owed the frame, streams end behind it. REQUIRES: its
  // match is done.
  size_t TakeFrame(const sse::FramePtr& frame, const base::RefCountedString& topic)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // Has its live streams catch up, and so end behind the frame that the ring gets next. Returns how many they were.
  size_t EndLive(Audience& audience) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  // --- Audiences come and go.
  Audience& AudienceOf(Selection selection) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // REQUIRES: it has no streams and is owed nothing.
  void ReleaseAudience(Audience& audience) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // Puts the new ones into the index, and destroys those that have been released. REQUIRES: the match is done.
  void CatchUpWithAudiences() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  // --- Work, in slices.
  bool RunSlice() override;
  int ServeRound(Audience& audience, int sends_max) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void Deliver(Subscription& subscription, Audience::Round& round) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void NotePartialRound(Subscription& subscription, const Audience::Round& round, size_t skip, size_t written)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  int CatchUp(Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  int CatchUpFromRing(Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  bool FinishLookback(Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // Writes what is half written, what the bridge has to say, and the frames at `found_`. False where the stream has
  // been blocked or ended.
  bool Flush(Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  bool NoteFlushed(Subscription& subscription, size_t written) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  // --- Stages.
  void GoLive(Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void MakeRunnable(Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void Block(Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void Wait(Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void LeaveStage(Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  // --- What the bridge itself says.
  void Say(Subscription& subscription, absl::string_view text) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void SayGap(Subscription& subscription, absl::string_view requested, uint64_t sequence, GapReason reason)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // Says bridge.closing, after which the stream ends.
  void SayClosing(Subscription& subscription, EndReason reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // The newest record of its topic is the last one.
  bool HasEnd(const Audience& audience) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // It has got everything, and nothing more will come.
  void EndComplete(Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // Ends the stream when it has caught up.
  void EndGracefully(Subscription& subscription, EndReason reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void SayHeartbeat(Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void HandleSlow(Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void OnTimerOf(Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void ScheduleTimerOf(Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  base::MonotonicTime NextHeartbeat() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  // --- Tokens that end.
  void ScheduleTokenEnd(Subscription& subscription, absl::Time ends) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void ForgetTokenEnd(Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void NoteWallTime() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  bool HasTokenEndsDue() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_) {
    return !token_ends_.empty() && token_ends_.begin()->first <= wall_seconds_;
  }
  // Tells at most so many streams that their token will end, or ends them because it has. Returns how many.
  int TellTokenEnds(int streams_max) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void EndByToken(Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  // --- Cursors that are ahead of this replica.
  void AskForBounds() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void OnBounds(const absl::StatusOr<log::Bounds>& bounds) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void WakeWaiting() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // REQUIRES: the ring has reached what it waits for.
  void GoOnFromAwaited(Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  // --- Cursors that are behind the ring.
  int CatchUpFromStore(Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // The store holds the records behind `sequence`, as far as is known.
  bool StoreReaches(uint64_t sequence) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_) {
    return store_ != nullptr && sequence >= store_trimmed_;
  }
  // Has it go on behind `sequence`, which is behind the ring.
  void ReadStoreAfter(Subscription& subscription, uint64_t sequence) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // Has it go on with the oldest record of the history, in the store or in the ring.
  void StartAtOldest(Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  StoreReader::Place PlaceOf(const Subscription& subscription) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // Asks the store for its next page.
  void AwaitPage(Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void OnPage(const FramePagePtr& page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void OnTrimmed(log::Position last_trimmed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void FetchAgain() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  // --- Replays that are paced, or cut.
  void BeginReplay(const Subscription& subscription, const Opening& opening) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // Counts what it is given now.
  void ChargeReplay(const Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // Where it has had more than it may: has it wait (true), or go on behind what is left out.
  bool HoldReplayBack(Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void CutReplay(Subscription& subscription, uint64_t next) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void HoldBack(Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void LetHeldBackGoOn() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  // --- The log starts anew, or has a gap.
  void BeginEpoch(uint64_t epoch, uint64_t head) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void SkipTo(uint64_t head) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // Drops what audiences are owed. REQUIRES: no stream is live.
  void DropOwed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // Its half-written frame, whose sequence means nothing any more, becomes text that is still to be written.
  static void FinishPartialAsText(Subscription& subscription);
  void BecomeReady() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  // --- Bookkeeping.
  void Pin(const Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void Unpin(const Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void EndSlowestWhilePinnedTooMuch() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void DropMatchesWhereTooMany() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void Tidy() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void NoteHistory() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void AdvanceDrain() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  std::string IdOf(uint64_t sequence) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_) {
    return log::EventIdOf({.epoch = epoch_, .sequence = sequence});
  }
  // The sequence of the last id that the client has, or will have with what is half written.
  static uint64_t LastSequenceOf(const Subscription& subscription) {
    return std::max(subscription.last_sequence_,
                    subscription.partial_ != nullptr ? subscription.partial_->sequence() : 0);
  }
  // All records behind this are in the history, the store or the ring.
  uint64_t HistoryStart() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_) {
    return store_ != nullptr ? std::min(store_trimmed_, ring_.trimmed_sequence()) : ring_.trimmed_sequence();
  }
  std::string OldestId() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  loop::EventLoop* const loop_;
  // nullptr from EndAll on.
  log::EventLog* log_ ABSL_GUARDED_BY(loop_);
  StoreReader* const store_;
  const HubOptions options_;
  HubMetrics metrics_;
  // The hub is reached from other threads by Post; what is posted checks that it still lives.
  const std::shared_ptr<Hub*> self_;

  absl::BitGen random_ ABSL_GUARDED_BY(loop_);
  uint64_t epoch_ ABSL_GUARDED_BY(loop_) = 0;
  Ring ring_ ABSL_GUARDED_BY(loop_);
  std::deque<Arrival> inbox_ ABSL_GUARDED_BY(loop_);
  // How many frames of the first batch have been taken.
  size_t inbox_position_ ABSL_GUARDED_BY(loop_) = 0;
  bool is_caught_up_ ABSL_GUARDED_BY(loop_) = false;
  absl::AnyInvocable<void()> on_ready_ ABSL_GUARDED_BY(loop_);
  // The store no longer holds the records up to this one.
  uint64_t store_trimmed_ ABSL_GUARDED_BY(loop_) = 0;
  bool knows_store_ ABSL_GUARDED_BY(loop_) = false;
  // How many frames have come in, ephemeral ones too.
  uint64_t tick_ ABSL_GUARDED_BY(loop_) = 0;
  topic::PatternIndex<Audience*> index_ ABSL_GUARDED_BY(loop_);
  AudienceSet audiences_ ABSL_GUARDED_BY(loop_);
  // Of the frame at inbox_position_; and the audiences that it has found so far.
  topic::PatternIndex<Audience*>::Walk match_ ABSL_GUARDED_BY(loop_);
  std::vector<Audience*> matched_ ABSL_GUARDED_BY(loop_);
  // Audiences that have come, or have lost their last stream, while the match was not done.
  std::vector<Audience*> unindexed_ ABSL_GUARDED_BY(loop_);
  absl::flat_hash_set<Audience*> unreleased_ ABSL_GUARDED_BY(loop_);

  // Of all audiences together, or a little more: counted anew each second.
  size_t matches_bytes_ ABSL_GUARDED_BY(loop_) = 0;

  Subscription::AllList all_ ABSL_GUARDED_BY(loop_);
  // Audiences that are owed something, each once.
  std::deque<Audience*> owed_ ABSL_GUARDED_BY(loop_);
  size_t owed_bytes_ ABSL_GUARDED_BY(loop_) = 0;
  Subscription::StageList runnable_ ABSL_GUARDED_BY(loop_);
  // Those that have been blocked longest in front.
  Subscription::StageList blocked_ ABSL_GUARDED_BY(loop_);
  // Those that wait for this replica to reach their cursor, and those of them after whom the log has been asked.
  Subscription::StageList waiting_ ABSL_GUARDED_BY(loop_);
  Subscription::StageList asked_for_ ABSL_GUARDED_BY(loop_);
  bool is_asking_for_bounds_ ABSL_GUARDED_BY(loop_) = false;
  // Those that wait for a page of the store, and pages that came and were not served yet to who waited for them: a page
  // need not be kept elsewhere until then.
  Subscription::StageList reading_ ABSL_GUARDED_BY(loop_);
  absl::flat_hash_map<const Subscription*, FramePagePtr> pages_ ABSL_GUARDED_BY(loop_);
  struct PendingLookback {
    uint64_t remaining;
    uint64_t searched_to;
    // More were asked for.
    bool is_cut;
  };
  absl::flat_hash_map<const Subscription*, PendingLookback> lookbacks_ ABSL_GUARDED_BY(loop_);
  // When the streams with a token are next to be told something about its end, in Unix seconds, and what time it was
  // when that was last looked at.
  absl::btree_set<std::pair<uint32_t, Subscription*>> token_ends_ ABSL_GUARDED_BY(loop_);
  uint32_t wall_seconds_ ABSL_GUARDED_BY(loop_) = 0;
  // How many blocked streams have sent a part of the frame.
  absl::flat_hash_map<const sse::Frame*, uint32_t> pins_ ABSL_GUARDED_BY(loop_);
  uint64_t pinned_bytes_ ABSL_GUARDED_BY(loop_) = 0;

  // What a stream that catches up gets next: a frame, and the cursor (next_) that stands before it; the one behind it
  // is larger by one.
  struct Found {
    const sse::FramePtr* frame;
    uint64_t next;
  };
  // Scratch space, kept to spare allocations.
  std::vector<Found> found_ ABSL_GUARDED_BY(loop_);
  std::vector<uint64_t> found_indexes_ ABSL_GUARDED_BY(loop_);
  std::vector<iovec> pieces_ ABSL_GUARDED_BY(loop_);

  // A stream's replay, where replays are limited.
  struct Replay {
    // Up to here it is a replay: what the history held when the stream was opened.
    uint64_t end_index = 0;
    uint64_t end_sequence = 0;
    bool may_be_cut = false;
    // What it may be given now; less than nothing after it has been given more.
    double events = 0;
    double bytes = 0;
    base::MonotonicTime counted_at;
  };
  absl::flat_hash_map<const Subscription*, Replay> replays_ ABSL_GUARDED_BY(loop_);
  Subscription::StageList held_back_ ABSL_GUARDED_BY(loop_);
  loop::CallbackTimer pace_timer_ ABSL_GUARDED_BY(loop_);

  // When the store was last asked what it may not have answered.
  base::MonotonicTime asked_again_at_ ABSL_GUARDED_BY(loop_);
  loop::CallbackTimer tidy_timer_ ABSL_GUARDED_BY(loop_);
  std::shared_ptr<DrainState> drain_ ABSL_GUARDED_BY(loop_);
};

}  // namespace bridge::hub
