// The end of a bridge, step by step: not ready, calls, publishers, event streams, the process.
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
  delay_timer_ = std::make_unique<loop::CallbackTimer>([this] { BeginDrainWindow(); });
  control_->Schedule(*delay_timer_, absl::ToChronoNanoseconds(wait));
}

void Server::BeginDrainWindow() {
  control_->AssertOnLoop();
  // Calls whose log ends with the process have a share of the window to be answered.
  constexpr double kCallsShare = 0.5;
  const absl::Duration window = config::FromProto(config_.drain().window());
  drain_end_ = base::MonotonicClock::now() + absl::ToChronoNanoseconds(window);

  grpc_->StopListening();
  service_->BeginDrain();
  events_->BeginDrain();
  calls_->calls()->Drain(window * kCallsShare, [this] { control_->Post([this] { DrainPublishers(); }); });
}

void Server::DrainPublishers() {
  control_->AssertOnLoop();
  // Publishers have a share of the window to finish: what they are acked in it still reaches the event streams.
  constexpr double kPublishersShare = 0.25;
  const absl::Duration for_publishers = config::FromProto(config_.drain().window()) * kPublishersShare;
  calls_handlers_->BeginDrain();
  publishers_timer_ = std::make_unique<loop::CallbackTimer>([this] { service_->EndStreams(); });
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
  std::vector<hub::Hub*> hubs = calls_->hubs();
  for (const auto& hub : hubs_) {
    hubs.push_back(hub.get());
  }
  undrained_ = hubs.size();
  for (hub::Hub* const hub : hubs) {
    hub->loop().Post([this, target = hub, left] {
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
