#include "bridge/http/room_maker.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "bridge/http/connection.h"
#include "bridge/http/tls_handshakes.h"

namespace bridge::http {
namespace {

// At a time, of all loops: what is closed was of use to somebody.
constexpr size_t kTogether = 32;

using Which = GiveWay::Which;
using std::chrono::milliseconds;

// Somebody who has just connected sends a request within a few round trips. Who has held a place for longer, and done
// nothing with it, gives way first, on whichever loop it is.
constexpr std::array kRounds = {
    GiveWay{.which = Which::kIdle, .waited_min = milliseconds(1000)},
    GiveWay{.which = Which::kIdle, .waited_min = milliseconds(100)},
    GiveWay{.which = Which::kUnfinished, .waited_min = milliseconds(1000)},
    GiveWay{.which = Which::kUnfinished, .waited_min = milliseconds(100)},
    GiveWay{.which = Which::kUnread, .waited_min = milliseconds(1000)},
    GiveWay{.which = Which::kIdle},
    GiveWay{.which = Which::kUnfinished},
};

}  // namespace

RoomMaker::RoomMaker(loop::EventLoop* loop, std::vector<ConnectionContext*> contexts, TlsHandshakes* handshakes)
    : loop_(loop), contexts_(std::move(contexts)), handshakes_(handshakes), self_(std::make_shared<RoomMaker*>(this)) {}

RoomMaker::~RoomMaker() {
  loop_->AssertOnLoop();
  *self_ = nullptr;
}

void RoomMaker::Make(absl::AnyInvocable<void(size_t closed)> done) {
  loop_->AssertOnLoop();
  done_ = std::move(done);
  round_ = 0;
  BeginRound();
}

void RoomMaker::BeginRound() {
  const size_t asked = contexts_.size() + (handshakes_ != nullptr ? handshakes_->thread_count() : 0);
  GiveWay wanted = kRounds[round_];
  wanted.count_max = std::max<size_t>(kTogether / asked, 1);
  unanswered_ = asked;
  closed_ = 0;
  const auto answer = [loop = loop_, self = self_](size_t closed) {
    loop->Post([self, closed] {
      if (RoomMaker* maker = *self) {
        maker->loop_->AssertOnLoop();
        maker->NoteAnswer(closed);
      }
    });
  };
  for (ConnectionContext* context : contexts_) {
    if (context->loop == loop_) {
      answer(Connection::MakeRoom(context, wanted));
    } else {
      context->loop->Post([context, wanted, answer] { answer(Connection::MakeRoom(context, wanted)); });
    }
  }
  if (handshakes_ != nullptr) {
    handshakes_->MakeRoom(wanted, answer);
  }
}

void RoomMaker::NoteAnswer(size_t closed) {
  closed_ += closed;
  if (--unanswered_ > 0) {
    return;
  }
  if (closed_ == 0 && ++round_ < kRounds.size()) {
    BeginRound();
    return;
  }
  std::exchange(done_, nullptr)(closed_);
}

}  // namespace bridge::http
