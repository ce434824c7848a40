#pragma once

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "bridge/config/v1/config.pb.h"
#include "bridge/log/event_log.h"

namespace bridge {

enum class LogKind { kMemory, kDisk, kJetStream };
LogKind KindOf(const config::v1::Log& config);
absl::string_view NameOf(LogKind kind);

struct OpenedLog {
  std::unique_ptr<log::EventLog> log;
  // It may hold more than the replicas' rings.
  bool has_store = false;
};

// The log that the configuration names. The error says what to change. `on_unusable` is called at most once, on any
// thread, where a store that could not be reached at first turns out to be of no use.
absl::StatusOr<OpenedLog> OpenLog(const config::v1::Config& config,
                                  std::function<void(const absl::Status&)> on_unusable);

}  // namespace bridge
