#pragma once

#include <httplib.h>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"

#include "bridge/loop/event_loop.h"

namespace bridge::http {

// What answers a request that was deferred, as a route's handler would have.
using ResumedHandler = absl::AnyInvocable<void(const httplib::Request&, httplib::Response&)>;

// An answer that a connection waits for: what the connection and a DeferredAnswer share.
//
// Lives on the connection's EventLoop, except for Resume.
class AwaitedAnswer {
 public:
  using Resumption = absl::AnyInvocable<void(ResumedHandler)>;

  // The loop lives as long as its connections do. `if_late` may be nullptr.
  AwaitedAnswer(loop::EventLoop* loop, ResumedHandler if_late)
      : loop_(loop), if_late_(std::move(if_late)), posts_to_(loop) {}

  // `resume` is called once, on the loop and never at once, unless the answer is forgotten before.
  void Await(Resumption resume);
  // Nobody waits for it any more, and the loop is not touched after this.
  void Forget();
  // The same, because it takes too long: what answers the request instead; nullptr for nothing in particular.
  ResumedHandler GiveUp();

  // Thread-safe, never waits.
  static void Resume(const std::shared_ptr<AwaitedAnswer>& answer, ResumedHandler handler);

 private:
  loop::EventLoop* const loop_;
  Resumption resume_ ABSL_GUARDED_BY(loop_);
  ResumedHandler if_late_ ABSL_GUARDED_BY(loop_);

  absl::Mutex mutex_;
  loop::EventLoop* posts_to_ ABSL_GUARDED_BY(mutex_);
};

// The answer to a request, given later: until then its connection waits. Who holds it may be on any thread, and may
// outlive the connection, its loop and the server.
class DeferredAnswer {
 public:
  explicit DeferredAnswer(std::shared_ptr<AwaitedAnswer> answer) : answer_(std::move(answer)) {}
  DeferredAnswer(DeferredAnswer&&) = default;
  DeferredAnswer& operator=(DeferredAnswer&&) = delete;
  // Where it has not been used, the request is answered with 500.
  ~DeferredAnswer();

  // Has `handler` answer the request on the loop of its connection, in place of the route's. Where the client has gone,
  // `handler` is destroyed, there or here. Never waits. REQUIRES: called once.
  void Resume(ResumedHandler handler);

 private:
  std::shared_ptr<AwaitedAnswer> answer_;
};

}  // namespace bridge::http
