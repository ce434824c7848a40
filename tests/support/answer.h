#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace bridge::test {

// Waits for what a callback is called with:
//
//   Answer<log::Page> page;
//   log.Read({.after = position}, page.Callback());
//   EXPECT_TRUE(page.Wait().ok());
//
// The callback may outlive it and be called on any thread.
template <typename T>
class Answer {
 public:
  auto Callback() {
    return [state = state_](absl::StatusOr<T> answer) {
      const absl::MutexLock lock(&state->mutex);
      ++state->calls;
      state->answer = std::move(answer);
    };
  }

  // The answer; DEADLINE_EXCEEDED where it takes too long, INTERNAL where the callback has been called more than once.
  absl::StatusOr<T> Wait() const {
    const absl::MutexLock lock(&state_->mutex);
    if (!state_->mutex.AwaitWithTimeout(absl::Condition(state_.get(), &State::HasAnswer), absl::Seconds(30))) {
      return absl::DeadlineExceededError("no answer");
    }
    return state_->calls == 1 ? *state_->answer : absl::InternalError("more than one answer");
  }

  bool HasAnswer() const {
    const absl::MutexLock lock(&state_->mutex);
    return state_->HasAnswer();
  }

 private:
  struct State {
    bool HasAnswer() const { return calls > 0; }

    absl::Mutex mutex;
    int calls = 0;
    std::optional<absl::StatusOr<T>> answer;
  };

  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace bridge::test
