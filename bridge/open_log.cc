#include "bridge/open_log.h"

#include <utility>

#include "absl/time/time.h"

#include "bridge/base/status_macros.h"
#include "bridge/config/value_syntax.h"
#include "bridge/log/disk_log.h"
#include "bridge/log/jetstream_log.h"
#include "bridge/log/memory_log.h"

namespace bridge {
namespace {

using Duration = base::MonotonicClock::duration;

Duration DurationOf(const google::protobuf::Duration& duration) {
  return absl::ToChronoNanoseconds(config::FromProto(duration));
}

std::unique_ptr<log::EventLog> MakeMemoryLog(const config::v1::Log& config) {
  return std::make_unique<log::MemoryLog>(
      log::MemoryLog::Options{.idempotency_window = DurationOf(config.idempotency_window()),
                              .idempotency_keys_max = config.idempotency_keys_max(),
                              // The hubs' rings are the history: nothing is held twice.
                              .history = {.events_max = 0}});
}

absl::StatusOr<std::unique_ptr<log::EventLog>> OpenDiskLog(const config::v1::Log& config) {
  const config::v1::Disk& disk = config.disk();
  return log::DiskLog::Open({.path = disk.path(),
                             .sync = disk.sync() == config::v1::Disk::interval ? log::DiskLog::Sync::kInterval
                                                                               : log::DiskLog::Sync::kEachBatch,
                             .sync_interval = DurationOf(disk.sync_interval()),
                             .bytes_max = disk.max_bytes(),
                             .age_max = DurationOf(disk.max_age()),
                             .idempotency_window = DurationOf(config.idempotency_window()),
                             .idempotency_keys_max = config.idempotency_keys_max()});
}

std::unique_ptr<log::EventLog> MakeJetStreamLog(const config::v1::Config& config,
                                                std::function<void(const absl::Status&)> on_unusable) {
  const config::v1::JetStream& jetstream = config.log().jetstream();
  return std::make_unique<log::JetStreamLog>(
      log::JetStreamOptions{.url = jetstream.url(),
                            .stream = jetstream.stream(),
                            .subject_prefix = jetstream.subject_prefix(),
                            .replicas = jetstream.replicas(),
                            .max_age = config::FromProto(jetstream.max_age()),
                            .max_bytes = jetstream.max_bytes(),
                            .update = jetstream.update(),
                            .credentials_file = jetstream.credentials_file(),
                            .tls = {.ca_file = jetstream.tls().ca_file(),
                                    .certificate_file = jetstream.tls().certificate_file(),
                                    .key_file = jetstream.tls().key_file()},
                            .idempotency_window = config::FromProto(config.log().idempotency_window()),
                            .frame_bytes_max = config.http().max_frame_bytes()},
      std::move(on_unusable));
}

}  // namespace

LogKind KindOf(const config::v1::Log& config) {
  if (!config.jetstream().url().empty()) {
    return LogKind::kJetStream;
  }
  return config.disk().path().empty() ? LogKind::kMemory : LogKind::kDisk;
}

absl::string_view NameOf(LogKind kind) {
  switch (kind) {
    case LogKind::kMemory:
      return "memory";
    case LogKind::kDisk:
      return "disk";
    case LogKind::kJetStream:
      return "jetstream";
  }
  return "unknown";
}

absl::StatusOr<OpenedLog> OpenLog(const config::v1::Config& config,
                                  std::function<void(const absl::Status&)> on_unusable) {
  switch (KindOf(config.log())) {
    case LogKind::kDisk: {
      ASSIGN_OR_RETURN(std::unique_ptr<log::EventLog> log, OpenDiskLog(config.log()));
      return OpenedLog{.log = std::move(log), .has_store = true};
    }
    case LogKind::kJetStream:
      return OpenedLog{.log = MakeJetStreamLog(config, std::move(on_unusable)), .has_store = true};
    case LogKind::kMemory:
      break;
  }
  return OpenedLog{.log = MakeMemoryLog(config.log()), .has_store = false};
}

}  // namespace bridge
