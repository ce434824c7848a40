#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"

#include "bridge/calls/calls.h"
#include "bridge/config/v1/config.pb.h"
#include "bridge/hub/feed.h"
#include "bridge/hub/hub.h"
#include "bridge/hub/hub_options.h"
#include "bridge/log/event_log.h"
#include "bridge/loop/event_loop.h"

namespace bridge {

// What serves calls: their log, which is apart from the one of events, the calls on a loop of their own, and a hub on
// each event loop, by which their answers are read.
//
// Lives on the main thread. The event loops outlive it.
class CallsPart {
 public:
  using Loops = std::vector<std::unique_ptr<loop::LoopThread>>;

  struct Callbacks {
    // As of OpenLog.
    std::function<void(const absl::Status&)> on_unusable;
    // Called once on each loop, when its hub has caught up with the log.
    std::function<void()> on_ready;
  };
  // `options` are those of the hubs for events; the loops run.
  CallsPart(const config::v1::Config& config, const Loops* loops, const hub::HubOptions& options, Callbacks callbacks);
  // REQUIRES: nobody calls calls() any more.
  ~CallsPart();
  CallsPart(const CallsPart&) = delete;
  CallsPart& operator=(const CallsPart&) = delete;

  // The error says what to change.
  absl::Status Start();

  calls::Calls* calls() { return calls_.get(); }
  const calls::CallsMetrics& metrics() const { return calls_->metrics(); }
  absl::Status log_health() const { return log_->health(); }
  // By the index of their loop.
  std::vector<hub::Hub*> hubs() const;

  // Ends all streams at once.
  void EndStreams();

 private:
  const config::v1::Config config_;
  const Loops* const loops_;
  const hub::HubOptions options_;
  const Callbacks callbacks_;

  hub::Feed feed_;
  std::vector<std::unique_ptr<hub::Hub>> hubs_;
  loop::LoopThread loop_{"calls"};
  std::unique_ptr<log::EventLog> log_;
  std::unique_ptr<calls::Calls> calls_;
};

}  // namespace bridge
