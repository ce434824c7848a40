#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/node_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/random/random.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "bridge/hub/audience.h"
#include "bridge/hub/feed.h"
#include "bridge/hub/hub_metrics.h"
#include "bridge/hub/ring.h"
#include "bridge/hub/subscription.h"
#include "bridge/log/event_log.h"
#include "bridge/log/position.h"
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
};

enum class SlowClient { kGap, kDisconnect };

struct HubOptions {
  Ring::Limits history;
  absl::Duration heartbeat = absl::Seconds(15);
  absl::Duration retry = absl::Seconds(2);
  absl::Duration send_timeout = absl::Seconds(30);
  // Zero for none.
  absl::Duration stream_max_age;
  SlowClient slow_client = SlowClient::kGap;
  uint64_t pinned_bytes_max = uint64_t{64} << 20;
};

// Serves the event streams of one loop: it gets every record in order, keeps its own index of the ring and its own
// subscriptions, and shares nothing with the other loops but the frames' bytes.
//
// Lives on its EventLoop, except for what is said to be thread-safe. Replay and live are one mechanism, a cursor that
// moves through the ring, so that the seam between them can neither lose nor repeat. A stream that takes what it is
// given is in its audience's live list and is written to in rounds; one that does not is a cursor in the run queue (or
// blocked). Long fan-outs and scans are done in slices.
class Hub final : public FrameSink {
 public:
  Hub(loop::EventLoop* loop, log::EventLog* log, const HubOptions& options);
  ~Hub() override;

  // Thread-safe (FrameSink).
  void PostEpoch(uint64_t epoch, uint64_t head) override;
  void PostFrames(std::shared_ptr<const FrameBatch> batch) override;

  // A stream that is about to start: its cursor, and the text that opens it.
  struct Opening {
    // Preamble and first control events, as SSE text, to be sent before anything else.
    std::string text;

   private:
    friend class Hub;
    uint64_t next = 0;
    uint64_t awaited = 0;
    uint64_t last_sequence = 0;
    // The last N matches are still to be looked for, and bridge.open to be said after that.
    uint64_t lookback = 0;
  };
  Opening Open(Selection& selection, const Start& start) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  // Begins to serve `subscription`; `unsent` (response head and opening, in its framing) is written first.
  // The hub may call OnEnd before it returns.
  void Add(Subscription& subscription, Selection selection, Opening opening, std::string unsent,
           bool wants_heartbeat_events) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  // The transport takes bytes again.
  void NoteWritable(Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  // Ends the stream at once, calling OnEnd.
  void End(Subscription& subscription, EndReason reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  // Ends all streams, one by one over `window`, each written up to the log's end and told bridge.closing with a retry
  // of its own; calls `done` when none is left, at the latest when the window is over.
  void Drain(absl::Duration window, absl::AnyInvocable<void()> done) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  // Ends all streams at once.
  void EndAll(EndReason reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  // A reconnection time for one client.
  absl::Duration JitteredRetry() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  // The replica knows its log's epoch.
  bool has_epoch() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_) { return epoch_ != 0; }
  const HubMetrics& metrics() const { return metrics_; }
  loop::EventLoop& loop() const ABSL_LOCK_RETURNED(loop_) { return *loop_; }

 private:
  friend class Subscription;

  class TidyTimer final : public loop::Timer {
   public:
    explicit TidyTimer(Hub* hub) : hub_(hub) {}

   private:
    void OnTimer() override;
    Hub* const hub_;
  };
  class DrainState;

  // --- Records come in.
  // These return what they cost, in sends.
  int TakeInbox() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // Returns how many audiences are owed the frame.
  size_t TakeFrame(const sse::FramePtr& frame) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  // --- Work, in slices.
  bool RunSlice() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  int ServeRound(Audience& audience, int sends_max) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void Deliver(Subscription& subscription, Audience::Round& round) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void NotePartialRound(Subscription& subscription, const Audience::Round& round, size_t skip, size_t written)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  int CatchUp(Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
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
  // Ends the stream when it has caught up.
  void EndGracefully(Subscription& subscription, EndReason reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void SayHeartbeat(Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void HandleSlow(Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void OnTimerOf(Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void ScheduleTimerOf(Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  base::MonotonicTime NextHeartbeat() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  // --- Cursors that are ahead of this replica.
  void AskForBounds() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void OnBounds(const absl::StatusOr<log::Bounds>& bounds) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void WakeWaiting() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  // --- Bookkeeping.
  void ReleaseAudience(Audience& audience) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void Pin(const Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void Unpin(const Subscription& subscription) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void EndSlowestWhilePinnedTooMuch() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void Tidy() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void NoteHistory() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void AdvanceDrain() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  std::string IdOf(uint64_t sequence) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_) {
    return log::EventIdOf({.epoch = epoch_, .sequence = sequence});
  }
  std::string OldestId() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  loop::EventLoop* const loop_;
  log::EventLog* const log_;
  const HubOptions options_;
  HubMetrics metrics_;
  // The hub is reached from other threads by Post; what is posted checks that it still lives.
  const std::shared_ptr<Hub*> self_;

  absl::BitGen random_ ABSL_GUARDED_BY(loop_);
  uint64_t epoch_ ABSL_GUARDED_BY(loop_) = 0;
  Ring ring_ ABSL_GUARDED_BY(loop_);
  std::deque<std::shared_ptr<const FrameBatch>> inbox_ ABSL_GUARDED_BY(loop_);
  // How many of the first batch have been taken.
  size_t inbox_position_ ABSL_GUARDED_BY(loop_) = 0;
  // How many frames have come in, ephemeral ones too.
  uint64_t tick_ ABSL_GUARDED_BY(loop_) = 0;
  topic::PatternIndex<Audience*> index_ ABSL_GUARDED_BY(loop_);
  absl::flat_hash_map<std::string, std::unique_ptr<Audience>> audiences_ ABSL_GUARDED_BY(loop_);

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
  struct PendingLookback {
    uint64_t remaining;
    uint64_t searched_to;
  };
  absl::flat_hash_map<const Subscription*, PendingLookback> lookbacks_ ABSL_GUARDED_BY(loop_);
  // How many blocked streams have sent a part of the frame.
  absl::flat_hash_map<const sse::Frame*, uint32_t> pins_ ABSL_GUARDED_BY(loop_);
  uint64_t pinned_bytes_ ABSL_GUARDED_BY(loop_) = 0;

  // Scratch space, kept to spare allocations.
  std::vector<uint64_t> found_ ABSL_GUARDED_BY(loop_);
  std::vector<iovec> pieces_ ABSL_GUARDED_BY(loop_);

  TidyTimer tidy_timer_ ABSL_GUARDED_BY(loop_);
  std::shared_ptr<DrainState> drain_ ABSL_GUARDED_BY(loop_);
};

}  // namespace bridge::hub
