#include "bridge/calls/follow_waits.h"

namespace bridge::calls {

void FollowWaits::AwaitHead(Task task) {
  waiting_.push_back(std::move(task));
  if (!is_asking_) {
    AskForWaiting();
  }
}

void FollowWaits::AskForWaiting() {
  is_asking_ = true;
  asked_for_.swap(waiting_);
  ask_();
}

void FollowWaits::OnBounds(const absl::StatusOr<log::Bounds>& bounds, log::Position followed) {
  std::vector<Task> answered = std::exchange(asked_for_, {});
  is_asking_ = false;
  if (!waiting_.empty()) {
    AskForWaiting();
  }
  for (Task& task : answered) {
    if (bounds.ok()) {
      AwaitFollowed({.epoch = bounds->epoch, .sequence = bounds->newest}, followed, std::move(task));
    } else {
      task(bounds.status());
    }
  }
}

void FollowWaits::AwaitFollowed(log::Position position, log::Position followed, Task task) {
  if (position.epoch == followed.epoch && position.sequence > followed.sequence) {
    waits_.push_back({.awaited = position.sequence, .task = std::move(task)});
  } else {
    task(absl::OkStatus());
  }
}

void FollowWaits::OnFollowed(uint64_t sequence) {
  std::vector<Wait> ready;
  for (Wait& wait : std::exchange(waits_, {})) {
    (wait.awaited <= sequence ? ready : waits_).push_back(std::move(wait));
  }
  for (Wait& wait : ready) {
    wait.task(absl::OkStatus());
  }
}

void FollowWaits::OnEpoch() {
  for (Wait& wait : waits_) {
    wait.awaited = 0;
  }
}

void FollowWaits::Fail(const absl::Status& why) {
  for (Wait& wait : std::exchange(waits_, {})) {
    wait.task(why);
  }
}

}  // namespace bridge::calls
