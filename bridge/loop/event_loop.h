#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <sys/epoll.h>
#include <thread>
#include <vector>

#include <boost/intrusive/list.hpp>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

#include "bridge/base/clock.h"
#include "bridge/loop/timer_wheel.h"

namespace bridge::loop {

// Whom an EventLoop tells that a descriptor is ready.
class Watcher {
 public:
  // `events` are epoll's. Edge-triggered: read and write until EAGAIN. May unwatch and destroy this watcher.
  virtual void OnReady(uint32_t events) = 0;

 protected:
  ~Watcher() = default;
};

// What is done in slices, between which others have their turn. Lives on its EventLoop.
class Work {
 public:
  Work() = default;
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;

 protected:
  virtual ~Work() = default;

 private:
  friend class EventLoop;
  using Hook = boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

  // Called once a turn while it returns true; bounds its own time (about half a millisecond).
  virtual bool RunSlice() = 0;

  // In the loop's list, where there is something to do.
  Hook hook_;

  using List = boost::intrusive::list<Work, boost::intrusive::member_hook<Work, Hook, &Work::hook_>,
                                      boost::intrusive::constant_time_size<false>>;
};

// How long the turns of an event loop took, waiting not counted. Written by the loop, read by anyone.
struct LoopLag {
  std::atomic<uint64_t> turns{0};
  std::atomic<uint64_t> busy_ns{0};
  // The longest turn since somebody last set it to 0.
  std::atomic<uint64_t> longest_turn_ns{0};
};

// One thread that owns a share of the event streams and never blocks.
//
// A turn: a millisecond of what epoll reports (the rest has the next turns), what was posted, the timers that are due,
// one slice of each work. Objects belong to one loop and are reached from elsewhere by Post only. The loop is a
// capability for clang's thread safety analysis: members are ABSL_GUARDED_BY(loop_), methods
// ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_), and what is posted begins with loop_.AssertOnLoop().
class ABSL_LOCKABLE EventLoop {
 public:
  EventLoop();
  // REQUIRES: the loop does not run. What was posted and has not run is destroyed.
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Runs on the calling thread until Stop.
  void Run();
  // Thread-safe. The current turn ends first.
  void Stop();

  // Thread-safe, never waits. Runs `task` on the loop, in the order of the posts of each caller.
  void Post(absl::AnyInvocable<void()> task);

  // Tells the compiler, and in debug builds checks, that the caller is on the loop.
  void AssertOnLoop() const ABSL_ASSERT_EXCLUSIVE_LOCK();

  // Reports everything that happens to `fd` (in, out, hang-up) to `watcher`, edge-triggered, at first what is ready
  // now.
  absl::Status Watch(int fd, Watcher* watcher) ABSL_EXCLUSIVE_LOCKS_REQUIRED(this);
  // From now on to another watcher, at first what is ready now. REQUIRES: `fd` is watched by `from`.
  void Rewatch(int fd, Watcher* from, Watcher* to) ABSL_EXCLUSIVE_LOCKS_REQUIRED(this);
  // After it, `watcher` is not called any more, not even for what this turn has already seen.
  void Unwatch(int fd, Watcher* watcher) ABSL_EXCLUSIVE_LOCKS_REQUIRED(this);

  // Calls the timer once, `delay` from now; replaces its earlier time.
  void Schedule(Timer& timer, base::MonotonicClock::duration delay) ABSL_EXCLUSIVE_LOCKS_REQUIRED(this);
  void Cancel(Timer& timer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(this) { TimerWheel::Cancel(timer); }

  // There is something to do: from the next slices on, and the loop does not sleep while there is.
  void Wake(Work& work) ABSL_EXCLUSIVE_LOCKS_REQUIRED(this) {
    if (!work.hook_.is_linked()) {
      awake_.push_back(work);
    }
  }
  // It has no slice any more, until it is woken again.
  void Cancel(Work& work) ABSL_EXCLUSIVE_LOCKS_REQUIRED(this) { work.hook_.unlink(); }

  // The time at which this turn began: cheap, and as exact as a turn is short.
  base::MonotonicTime now() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(this) { return now_; }

  // This turn has lasted so long (a millisecond) that what can wait should leave the rest to the next ones.
  bool IsTurnLong() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(this);

  LoopLag& lag() { return lag_; }

 private:
  static constexpr int kEventsPerTurn = 256;

  void Dispatch() ABSL_EXCLUSIVE_LOCKS_REQUIRED(this);
  void RunPosted() ABSL_EXCLUSIVE_LOCKS_REQUIRED(this);
  void RunSlices() ABSL_EXCLUSIVE_LOCKS_REQUIRED(this);
  int WaitMilliseconds() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(this);
  void NoteTurn() ABSL_EXCLUSIVE_LOCKS_REQUIRED(this);

  const int epoll_fd_;
  const int wake_fd_;

  TimerWheel timers_ ABSL_GUARDED_BY(this);
  // Those with something to do.
  Work::List awake_ ABSL_GUARDED_BY(this);
  base::MonotonicTime now_ ABSL_GUARDED_BY(this);
  // What epoll has reported; those below next_event_ have been told to their watchers.
  std::array<epoll_event, kEventsPerTurn> events_ ABSL_GUARDED_BY(this) = {};
  int next_event_ ABSL_GUARDED_BY(this) = 0;
  int event_count_ ABSL_GUARDED_BY(this) = 0;
  std::vector<absl::AnyInvocable<void()>> running_ ABSL_GUARDED_BY(this);

  absl::Mutex mutex_;
  std::vector<absl::AnyInvocable<void()>> posted_ ABSL_GUARDED_BY(mutex_);

  // Relaxed: a stop is followed by a wake, and the wake's eventfd orders them.
  std::atomic<bool> is_stopping_{false};
  std::atomic<std::thread::id> thread_;
  LoopLag lag_;
};

// An EventLoop and the thread that runs it, from construction to destruction.
class LoopThread {
 public:
  // The thread's name is at most 15 bytes.
  explicit LoopThread(const char* name);
  ~LoopThread();

  EventLoop& loop() { return loop_; }

  // Runs `task` on the loop and waits for it. Not for the loop's own thread.
  void BlockOn(absl::AnyInvocable<void()> task);

 private:
  EventLoop loop_;
  std::thread thread_;
};

}  // namespace bridge::loop
