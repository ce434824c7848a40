#include "bridge/http/deferred_answer.h"

#include "bridge/http/problem.h"

namespace bridge::http {

void AwaitedAnswer::Await(Resumption resume) {
  loop_->AssertOnLoop();
  resume_ = std::move(resume);
}

void AwaitedAnswer::Forget() {
  loop_->AssertOnLoop();
  resume_ = nullptr;
  const absl::MutexLock lock(&mutex_);
  posts_to_ = nullptr;
}

ResumedHandler AwaitedAnswer::GiveUp() {
  loop_->AssertOnLoop();
  Forget();
  return std::exchange(if_late_, nullptr);
}

void AwaitedAnswer::Resume(const std::shared_ptr<AwaitedAnswer>& answer, ResumedHandler handler) {
  // Held while it posts: the loop is there as long as the answer has not been forgotten.
  const absl::MutexLock lock(&answer->mutex_);
  if (answer->posts_to_ == nullptr) {
    return;
  }
  answer->posts_to_->Post([answer, resumed = std::move(handler)]() mutable {
    answer->loop_->AssertOnLoop();
    if (Resumption resume = std::exchange(answer->resume_, nullptr)) {
      resume(std::move(resumed));
    }
  });
}

DeferredAnswer::~DeferredAnswer() {
  if (answer_ != nullptr) {
    Resume([](const httplib::Request& /*request*/, httplib::Response& response) {
      SetProblem({.status = 500, .detail = "the bridge failed to answer; its log may say why"}, &response);
    });
  }
}

void DeferredAnswer::Resume(ResumedHandler handler) {
  AwaitedAnswer::Resume(std::exchange(answer_, nullptr), std::move(handler));
}

}  // namespace bridge::http
