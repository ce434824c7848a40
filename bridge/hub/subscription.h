#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <sys/uio.h>

#include <boost/intrusive/list.hpp>

#include "absl/types/span.h"

#include "bridge/base/clock.h"
#include "bridge/hub/hub_metrics.h"
#include "bridge/loop/timer_wheel.h"
#include "bridge/sse/frame.h"

namespace bridge::hub {

class Audience;
class Hub;

// One event stream as its hub sees it: a cursor in the ring and what is half written. It holds no queue: what it is
// owed is found from the cursor. The derived class owns the transport.
//
// Lives on its hub's EventLoop. Some 200 bytes: there are many.
class Subscription : private loop::Timer {
 public:
  Subscription() = default;
  Subscription(const Subscription&) = delete;
  Subscription& operator=(const Subscription&) = delete;

 protected:
  // REQUIRES: not in a hub (it was never added, or OnEnd was called).
  ~Subscription() override = default;

 private:
  friend class Audience;
  friend class Hub;

  using Hook = boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

  // Hands bytes to the transport without waiting. Returns how many it took (fewer, also 0: Hub::NoteWritable is called
  // when it takes more again, and a piece of which a part was taken is gone on with first), or a negative number where
  // the transport is broken.
  virtual ssize_t Write(absl::Span<const iovec> pieces) = 0;

  // The stream is over and no longer in the hub; destroy it. After a graceful end everything written includes the
  // body's end.
  virtual void OnEnd(EndReason reason) = 0;

  void OnTimer() final;

  enum class Stage : uint8_t {
    kLive,      // in its audience's list: has everything but what the audience is owed
    kRunnable,  // in the hub's run queue: has something to write, and the transport takes it
    kBlocked,   // the transport takes nothing
    kWaiting,   // its cursor is ahead of this replica
    kReading,   // its cursor is behind the ring, and the store has been asked for the page
    kHeldBack,  // it replays faster than it may
  };

  // What the bridge itself has to say on the stream, and has not said yet.
  struct Control {
    std::string text;
    size_t written = 0;
  };

  Hub* hub_ = nullptr;
  Audience* audience_ = nullptr;
  // Where it is not live: the ring index of the next record to look at; where it reads the store, the sequence behind
  // which it goes on.
  uint64_t next_ = 0;
  // The sequence that this replica has to reach before the stream can go on; 0 for none.
  uint64_t awaited_ = 0;
  // The audience's items up to this number are behind it, where it is live.
  uint64_t joined_ = 0;
  // The sequence of the last id that was sent whole.
  uint64_t last_sequence_ = 0;
  // A frame of which a part has been written.
  sse::FramePtr partial_;
  std::unique_ptr<Control> control_;
  base::MonotonicTime heartbeat_at_;
  base::MonotonicTime expires_at_ = base::MonotonicTime::max();
  base::MonotonicTime last_progress_;
  uint32_t partial_written_ = 0;
  // Its place in the audience's list, where it is live.
  uint32_t live_index_ = 0;
  // When its token ends, in Unix seconds; 0 where that is never, or has been seen to.
  uint32_t token_ends_at_ = 0;
  // How many seconds before that it is told that it will; 0 from when it has been.
  uint8_t token_notice_ = 0;
  Stage stage_ = Stage::kRunnable;
  bool wants_heartbeat_events_ = false;
  // Its cursor is behind the ring.
  bool reads_store_ = false;
  // It asked for all that there is, and has not read any of it yet: what has been trimmed meanwhile is no gap.
  bool starts_at_oldest_ = false;
  // The last thing to be written is in control_.
  bool is_ending_ = false;
  // To be ended as soon as it has caught up.
  bool ends_when_live_ = false;
  EndReason end_reason_ = EndReason::kDraining;
  // In the hub's list of its stage, where it is not live.
  Hook stage_hook_;
  // In the list of all streams of the hub.
  Hook all_hook_;

 public:
  using StageList =
      boost::intrusive::list<Subscription,
                             boost::intrusive::member_hook<Subscription, Hook, &Subscription::stage_hook_>,
                             boost::intrusive::constant_time_size<false>>;
  using AllList =
      boost::intrusive::list<Subscription, boost::intrusive::member_hook<Subscription, Hook, &Subscription::all_hook_>,
                             boost::intrusive::constant_time_size<false>>;
};

}  // namespace bridge::hub
