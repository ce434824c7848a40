#include "bridge/open_log.h"

#include "absl/time/time.h"

#include "bridge/config/value_syntax.h"
#include "bridge/log/memory_log.h"

namespace bridge {

absl::StatusOr<OpenedLog> OpenLog(const config::v1::Config& config,
                                  absl::AnyInvocable<void(const absl::Status&)> /*on_unusable*/) {
  return OpenedLog{
      .log = std::make_unique<log::MemoryLog>(log::MemoryLog::Options{
          .idempotency_window = absl::ToChronoNanoseconds(config::FromProto(config.log().idempotency_window())),
          .idempotency_keys_max = config.log().idempotency_keys_max(),
          // The hubs' rings are the history: nothing is held twice.
          .history = {.events_max = 0}}),
      .has_store = false};
}

}  // namespace bridge
