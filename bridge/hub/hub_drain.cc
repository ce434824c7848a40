#include <algorithm>
#include <utility>

#include "bridge/hub/hub.h"

namespace bridge::hub {
namespace {

constexpr auto kInterval = std::chrono::milliseconds(20);
// The last stream is told so early in the window that it can still be written up to the log's end.
constexpr double kTellingShare = 0.8;

}  // namespace

// The end of all streams of a hub. Streams that have been told stand at the end of the hub's list.
class Hub::DrainState final : public loop::Timer {
 public:
  DrainState(Hub* hub, base::MonotonicClock::duration whole_window, absl::AnyInvocable<void()> on_done, size_t streams)
      : done(std::move(on_done)), begin(hub->loop_->now()), window(whole_window), total(streams), hub_(hub) {}

  absl::AnyInvocable<void()> done;
  const base::MonotonicTime begin;
  const base::MonotonicClock::duration window;
  const size_t total;
  size_t told = 0;

 private:
  void OnTimer() override {
    hub_->loop_->AssertOnLoop();
    hub_->AdvanceDrain();
  }

  Hub* const hub_;
};

void Hub::Drain(absl::Duration window, absl::AnyInvocable<void()> done) {
  drain_ = std::make_shared<DrainState>(this, absl::ToChronoNanoseconds(window), std::move(done),
                                        static_cast<size_t>(std::distance(all_.begin(), all_.end())));
  AdvanceDrain();
}

void Hub::EndAll(EndReason reason) {
  while (!all_.empty()) {
    End(all_.front(), reason);
  }
  log_ = nullptr;
}

void Hub::AdvanceDrain() {
  const auto elapsed = loop_->now() - drain_->begin;
  if (elapsed >= drain_->window) {
    EndAll(EndReason::kDraining);
  }
  if (all_.empty()) {
    drain_->done();
    return;
  }
  const double share =
      std::chrono::duration<double>(elapsed + kInterval) /
      std::max(std::chrono::duration<double>(drain_->window) * kTellingShare, std::chrono::duration<double>(1e-3));
  const auto target = static_cast<size_t>(std::clamp(share, 0.0, 1.0) * static_cast<double>(drain_->total));
  for (; drain_->told < target && !all_.empty(); ++drain_->told) {
    Subscription& subscription = all_.front();
    all_.splice(all_.end(), all_, all_.begin());
    EndGracefully(subscription, EndReason::kDraining);
  }
  loop_->Schedule(*drain_, kInterval);
}

}  // namespace bridge::hub
