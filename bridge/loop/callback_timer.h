#pragma once

#include <utility>

#include "absl/functional/any_invocable.h"

#include "bridge/loop/timer_wheel.h"

namespace bridge::loop {

// A timer that calls a function, for what there are few of.
class CallbackTimer final : public Timer {
 public:
  explicit CallbackTimer(absl::AnyInvocable<void()> on_time) : on_time_(std::move(on_time)) {}

 private:
  void OnTimer() override { on_time_(); }

  absl::AnyInvocable<void()> on_time_;
};

}  // namespace bridge::loop
