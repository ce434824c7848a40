#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"

#include "bridge/base/clock.h"
#include "bridge/loop/event_loop.h"

namespace bridge::http {

struct ConnectionContext;
class TlsHandshakes;

// Which connections give way to others, where no descriptors are left. All of them wait for their clients.
struct GiveWay {
  enum class Which : uint8_t {
    // Nothing of a request, or of a handshake, has come since the connection was accepted or last used.
    kIdle,
    // Some of it has, or all has been said and the client has not closed yet.
    kUnfinished,
    // The client does not take its answer, or takes it slowly.
    kUnread,
  };
  Which which = Which::kIdle;
  // Those that have waited for so long, the longest first.
  base::MonotonicClock::duration waited_min{};
  size_t count_max = 0;
};

// Has connections give way where no descriptors are left: at first those that have been idle for a while, and only
// where there are none such, those that a client may be about to use. Event streams never do, nor requests whose answer
// is being made.
//
// Lives on its EventLoop.
class RoomMaker {
 public:
  // `handshakes` may be nullptr. What is pointed to outlives it, and is told before its end (the loops' posts have been
  // run).
  RoomMaker(loop::EventLoop* loop, std::vector<ConnectionContext*> contexts, TlsHandshakes* handshakes);
  ~RoomMaker();
  RoomMaker(const RoomMaker&) = delete;
  RoomMaker& operator=(const RoomMaker&) = delete;

  // Calls `done` with how many connections have given way, some tens at most; later, and on the loop. REQUIRES: the
  // last one has been called.
  void Make(absl::AnyInvocable<void(size_t closed)> done);

 private:
  void BeginRound() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void NoteAnswer(size_t closed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  loop::EventLoop* const loop_;
  const std::vector<ConnectionContext*> contexts_;
  TlsHandshakes* const handshakes_;
  // Answers come from other threads by Post; what is posted checks that it still lives.
  const std::shared_ptr<RoomMaker*> self_;

  absl::AnyInvocable<void(size_t)> done_ ABSL_GUARDED_BY(loop_);
  size_t round_ ABSL_GUARDED_BY(loop_) = 0;
  size_t unanswered_ ABSL_GUARDED_BY(loop_) = 0;
  size_t closed_ ABSL_GUARDED_BY(loop_) = 0;
};

}  // namespace bridge::http
