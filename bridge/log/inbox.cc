#include "bridge/log/inbox.h"

#include <cassert>
#include <utility>

namespace bridge::log {
namespace {

// Each may copy a page; appends wait for no more of them than these.
constexpr size_t kQuestionsPerRoundMax = 8;

}  // namespace

void Inbox::Append(Request request) {
  {
    const absl::MutexLock lock(&mutex_);
    if (!is_ending_) {
      requests_.push_back(std::move(request));
      return;
    }
  }
  request.done(EndingError());
}

void Inbox::Ask(Question question) {
  {
    const absl::MutexLock lock(&mutex_);
    if (!is_ending_) {
      questions_.push_back(std::move(question));
      return;
    }
  }
  question(EndingError());
}

void Inbox::Follow(Follower* follower) {
  const absl::MutexLock lock(&mutex_);
  assert(follower_ == nullptr);
  follower_ = follower;
}

void Inbox::ResumeFollow() {
  const absl::MutexLock lock(&mutex_);
  is_stalled_ = false;
}

void Inbox::Wake() {
  const absl::MutexLock lock(&mutex_);
  is_woken_ = true;
}

void Inbox::End() {
  const absl::MutexLock lock(&mutex_);
  is_ending_ = true;
}

std::optional<Inbox::Round> Inbox::Await(const Needs& needs) {
  assert(needs.requests == nullptr || needs.requests->empty());
  const absl::MutexLock lock(&mutex_);
  const auto has_work = [this, &needs, told_follower = told_follower_]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return is_ending_ || is_woken_ || !questions_.empty() || follower_ != told_follower ||
           (!is_stalled_ && (needs.has_work || (needs.requests != nullptr && !requests_.empty())));
  };
  mutex_.AwaitWithTimeout(absl::Condition(&has_work), needs.wait_max);

  if (is_ending_) {
    return std::nullopt;
  }
  is_woken_ = false;
  Round round;
  if (follower_ != told_follower_) {
    round.new_follower = told_follower_ = follower_;
  }
  round.is_stalled = is_stalled_;
  if (!is_stalled_ && needs.requests != nullptr) {
    needs.requests->swap(requests_);
  }
  while (!questions_.empty() && round.questions.size() < kQuestionsPerRoundMax) {
    round.questions.push_back(std::move(questions_.front()));
    questions_.pop_front();
  }
  return round;
}

void Inbox::HandOver(absl::Span<const Entry> entries) {
  if (told_follower_ == nullptr || entries.empty()) {
    return;
  }
  {
    const absl::MutexLock lock(&mutex_);
    is_stalled_ = true;
  }
  if (told_follower_->OnEntries(entries) == Follower::Flow::kContinue) {
    ResumeFollow();
  }
}

std::vector<Inbox::Request> Inbox::TakeRequests() {
  const absl::MutexLock lock(&mutex_);
  return std::exchange(requests_, {});
}

std::deque<Inbox::Question> Inbox::TakeQuestions() {
  const absl::MutexLock lock(&mutex_);
  return std::exchange(questions_, {});
}

absl::Status Inbox::EndingError() { return absl::UnavailableError("the log is ending"); }

}  // namespace bridge::log
