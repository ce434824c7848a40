// What connections wait for, and since when: an answer that comes later, or their clients; and which of them give way.
#include <utility>

#include "bridge/http/connection.h"

namespace bridge::http {

void Connection::SetDeadline(absl::Duration after) {
  context_->loop->AssertOnLoop();
  context_->loop->Schedule(*this, absl::ToChronoNanoseconds(after));
  waiting_since_ = context_->loop->now();
  hook_.unlink();
  if (state_ == State::kWriting || state_ == State::kAwaiting) {
    context_->answered.push_back(*this);
  } else {
    (IsIdle() ? context_->idle : context_->unfinished).push_back(*this);
  }
}

void Connection::OnTimer() {
  if (turn_hook_.is_linked()) {
    SetDeadline(context_->limits.head_timeout);  // it waits for its turn, not for its client
    return;
  }
  if (state_ == State::kAwaiting) {
    AnswerLate();
    return;
  }
  if (state_ != State::kReading || IsIdle()) {
    transport_.SayGoodbye();
    Close();
    return;
  }
  context_->metrics->timed_out.Add(1);
  Refuse({.status = 408, .detail = "the request took longer than http.head_timeout to arrive"});
  Send();
}

// --- Answers that come later.

void Connection::Await(std::unique_ptr<Pending> request, std::shared_ptr<AwaitedAnswer> answer) {
  context_->loop->AssertOnLoop();
  pending_ = std::move(request);
  answer->Await([this](ResumedHandler handler) { OnAnswer(std::move(handler)); });
  pending_->awaited = std::move(answer);
  state_ = State::kAwaiting;
  SetDeadline(context_->limits.answer_timeout);
}

void Connection::OnAnswer(ResumedHandler handler) {
  context_->loop->AssertOnLoop();
  pending_->resumed = std::move(handler);
  if (context_->loop->IsTurnLong()) {
    Yield();  // many may have come together
  } else if (!turn_hook_.is_linked()) {
    TakeTurn();
  }
}

void Connection::AnswerLate() {
  context_->loop->AssertOnLoop();
  if (ResumedHandler late = pending_->awaited->GiveUp()) {
    OnAnswer(std::move(late));
    return;
  }
  Refuse({.status = 503, .detail = "the answer took too long to come; ask again later"});
  Send();
}

bool Connection::Resume() {
  if (state_ != State::kAwaiting || pending_->resumed == nullptr) {
    return true;
  }
  has_had_turn_ = true;
  return Answer() && (state_ == State::kAwaiting || Send());
}

// --- All of a loop.

void Connection::CloseAll(ConnectionContext* context) {
  for (List* list : {&context->idle, &context->unfinished, &context->answered}) {
    while (!list->empty()) {
      list->front().Close();
    }
  }
  context->turns.Stop();
}

void Connection::GiveRequestUp() {
  holder_hook_.unlink();
  Refuse({.status = 503, .detail = "too many requests that are not whole are held; send it again later"});
  if (Send()) {
    CountRequestBytes();
  }
}

size_t Connection::MakeRoom(ConnectionContext* context, const GiveWay& wanted) {
  context->loop->AssertOnLoop();
  const bool is_idle = wanted.which == GiveWay::Which::kIdle;
  const bool is_unread = wanted.which == GiveWay::Which::kUnread;
  List& waiting = is_idle ? context->idle : is_unread ? context->answered : context->unfinished;
  const base::MonotonicTime latest = context->loop->now() - wanted.waited_min;
  size_t closed = 0;
  for (auto it = waiting.begin(); it != waiting.end() && it->waiting_since_ <= latest && closed < wanted.count_max;) {
    Connection& connection = *it++;
    // Its request is there, and has not been looked at yet; or its answer is not there.
    if (connection.turn_hook_.is_linked() || (is_idle && connection.transport_.HasInput()) ||
        (is_unread && connection.state_ != State::kWriting)) {
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
