#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"

#include "bridge/hub/frame_list.h"
#include "bridge/log/event_log.h"
#include "bridge/log/follow_budget.h"

namespace bridge::hub {

class Feed;

// Frames in log order, shared by all hubs. When the last hub has taken it, its feed is told.
struct FrameBatch {
  explicit FrameBatch(Feed* owner) : feed(owner) {}
  FrameBatch(const FrameBatch&) = delete;
  FrameBatch& operator=(const FrameBatch&) = delete;
  ~FrameBatch();

  Feed* const feed;
  FrameList list;
};

// Where a feed hands its frames: a hub. Thread-safe, never waits, keeps the order of the calls.
class FrameSink {
 public:
  virtual ~FrameSink() = default;

  // As log::Follower's calls of these names.
  virtual void PostEpoch(uint64_t epoch, uint64_t head) = 0;
  virtual void PostCaughtUp() = 0;
  virtual void PostGap(uint64_t head) = 0;
  virtual void PostFrames(std::shared_ptr<const FrameBatch> batch) = 0;
};

// Follows the log, encodes each record once, and hands the frame to every hub. Stalls the log while the hubs have not
// taken what they got: so a publisher is read no faster than the event loops can take.
//
// Called on the log's thread, or by who follows the log in front of it. The sinks outlive it, and it outlives the log.
class Feed final : public log::Follower {
 public:
  void OnEpoch(uint64_t epoch, uint64_t head) override;
  void OnCaughtUp() override;
  void OnGap(uint64_t head, Missing why) override;
  Flow OnEntries(absl::Span<const log::Entry> entries) override;

  // `resume` has who hands the entries over go on after a stall; called on any thread. REQUIRES: called before the
  // first entry, such as by EventLog::Follow.
  void Start(absl::AnyInvocable<void()> resume, std::vector<FrameSink*> sinks);
  // Who hands the entries over is about to be destroyed: it is not told to go on any more.
  void Detach();

 private:
  friend struct FrameBatch;

  // Thread-safe: the hubs have taken so much.
  void NoteTaken(size_t bytes);

  absl::Mutex mutex_;
  // Taken only where there was a stall.
  absl::AnyInvocable<void()> resume_ ABSL_GUARDED_BY(mutex_);
  std::vector<FrameSink*> sinks_;
  uint64_t epoch_ = 0;

  // Of frames that the hubs have before them.
  log::FollowBudget budget_;
};

}  // namespace bridge::hub
