// The end of a bridge, step by step: not ready, publishers, event streams, the process.
#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "bridge/config/value_syntax.h"
#include "bridge/ops/logging.h"
#include "bridge/server.h"

namespace bridge {

void Server::Drain(DrainDelay delay) {
  control_->AssertOnLoop();
  if (std::exchange(is_draining_, true)) {
    return;
  }
  const absl::Duration wait =
      delay == DrainDelay::kNone ? absl::ZeroDuration() : config::FromProto(config_.drain().delay());
  ops::LogInfo("draining", {{"delay", absl::FormatDuration(wait)},
                            {"window", absl::FormatDuration(config::FromProto(config_.drain().window()))}});
  delay_timer_ = std::make_unique<ControlTimer>([this] { BeginDrainWindow(); });
  control_->Schedule(*delay_timer_, absl::ToChronoNanoseconds(wait));
}

void Server::BeginDrainWindow() {
  control_->AssertOnLoop();
  // Publishers have a share of the window to finish: what they are acked in it still reaches the event streams.
  constexpr double kPublishersShare = 0.25;
  const absl::Duration window = config::FromProto(config_.drain().window());
  const absl::Duration for_publishers = window * kPublishersShare;
  drain_end_ = base::MonotonicClock::now() + absl::ToChronoNanoseconds(window);

  grpc_->StopListening();
  service_->BeginDrain();
  events_->BeginDrain();
  publishers_timer_ = std::make_unique<ControlTimer>([this] { service_->EndStreams(); });
  control_->Schedule(*publishers_timer_, absl::ToChronoNanoseconds(for_publishers));
  constexpr absl::Duration kToEndStreams = absl::Milliseconds(500);
  grpc_drain_ = std::thread([this, deadline = absl::Now() + for_publishers + kToEndStreams] {
    grpc_->BlockOnShutdown(deadline);
    control_->Post([this] { DrainEventStreams(); });
  });
}

void Server::DrainEventStreams() {
  const absl::Duration left =
      std::max(absl::FromChrono(drain_end_ - base::MonotonicClock::now()), absl::ZeroDuration());
  undrained_ = hubs_.size();
  for (const auto& hub : hubs_) {
    hub->loop().Post([this, target = hub.get(), left] {
      target->loop().AssertOnLoop();
      target->Drain(left, [this] { control_->Post([this] { NoteDrained(); }); });
    });
  }
}

void Server::NoteDrained() {
  if (--undrained_ == 0) {
    ops::LogInfo("drained");
    control_->Stop();
  }
}

}  // namespace bridge
