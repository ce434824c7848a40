// Which connections of a loop wait for their clients, since when, and which of them give way.
#include "bridge/http/connection.h"

namespace bridge::http {

void Connection::SetDeadline(absl::Duration after) {
  context_->loop->AssertOnLoop();
  context_->loop->Schedule(*this, absl::ToChronoNanoseconds(after));
  waiting_since_ = context_->loop->now();
  hook_.unlink();
  if (state_ == State::kWriting) {
    context_->answered.push_back(*this);
  } else {
    (IsIdle() ? context_->idle : context_->unfinished).push_back(*this);
  }
}

void Connection::CloseAll(ConnectionContext* context) {
  for (List* list : {&context->idle, &context->unfinished, &context->answered}) {
    while (!list->empty()) {
      list->front().Close();
    }
  }
  context->turns.Stop();
}

size_t Connection::MakeRoom(ConnectionContext* context, const GiveWay& wanted) {
  context->loop->AssertOnLoop();
  const bool is_idle = wanted.which == GiveWay::Which::kIdle;
  List& waiting = is_idle ? context->idle : context->unfinished;
  const base::MonotonicTime latest = context->loop->now() - wanted.waited_min;
  size_t closed = 0;
  for (auto it = waiting.begin(); it != waiting.end() && it->waiting_since_ <= latest && closed < wanted.count_max;) {
    Connection& connection = *it++;
    // Its request is there, and has not been looked at yet.
    if (connection.turn_hook_.is_linked() || (is_idle && connection.transport_.HasInput())) {
      continue;
    }
    connection.transport_.SayGoodbye();
    connection.Close();
    ++closed;
  }
  context->metrics->gave_way.Add(closed);
  return closed;
}

}  // namespace bridge::http
