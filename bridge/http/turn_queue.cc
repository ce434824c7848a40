#include "bridge/http/connection.h"

namespace bridge::http {

void TurnQueue::Stop() {
  loop_->AssertOnLoop();
  loop_->Cancel(*this);
}

void TurnQueue::Add(Connection& connection) {
  loop_->AssertOnLoop();
  waiting_.push_back(connection);
  if (!is_scheduled()) {
    loop_->Schedule(*this, {});
  }
}

void TurnQueue::OnTimer() {
  loop_->AssertOnLoop();
  while (!waiting_.empty()) {
    Connection& next = waiting_.front();
    waiting_.pop_front();
    next.TakeTurn();
    if (loop_->IsTurnLong()) {
      break;
    }
  }
  if (!waiting_.empty()) {
    loop_->Schedule(*this, {});
  }
}

}  // namespace bridge::http
