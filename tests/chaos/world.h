#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "tests/chaos/nats_cluster.h"
#include "tests/chaos/nginx_front.h"
#include "tests/chaos/schedule.h"
#include "tests/support/bridge_process.h"
#include "tests/support/fault_proxy.h"
#include "tests/support/temp_dir.h"

namespace bridge::chaos {

// Which log the bridges run on.
enum class LogKind {
  kMemory,   // one bridge, which is never killed
  kDisk,     // one bridge
  kNats,     // two bridges, one NATS server
  kCluster,  // two bridges, three NATS servers
};

// INVALID_ARGUMENT: not one of memory, disk, nats, cluster.
absl::StatusOr<LogKind> ParseLogKind(absl::string_view text);

// Everything that runs and can fail: bridges with an nginx before them, NATS servers behind them, and a proxy on each
// way from a bridge to a NATS server. Lives on one thread.
class World {
 public:
  // `settings` are the bridges', beside their own. Returns when all bridges are ready; aborts the program where they do
  // not become it.
  explicit World(LogKind log, std::vector<std::string> settings = {});
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Parts parts() const;
  uint16_t front_port() const { return front_->port(); }
  std::vector<uint16_t> http_ports() const;
  std::vector<std::string> grpc_targets() const;

  // Before a fault begins: ends what is due, and what has failed before and has to be whole. The schedule says so, and
  // a start may have taken longer than it thinks.
  void MakeWayFor(const Fault& fault);
  // A fault begins, and ends by the first EndWhatIsDue after it has lasted. Not those on Target::kClients.
  void Begin(const Fault& fault);
  void EndWhatIsDue();
  bool IsWhole() const { return open_faults_.empty(); }

  // The bridges that have ended by themselves, in words; empty where there is none.
  std::string FindDead();

  // The last lines of each process's log.
  std::string LogTails() const;
  // At the end of a run: adds what is wrong with the processes, and where anything is wrong what they have logged.
  void Judge(std::vector<std::string>* violations);

 private:
  struct OpenFault {
    absl::Time ends_at;
    Fault fault;
  };

  void End(const Fault& fault);
  // What a sanitizer has reported of the bridges; empty for nothing.
  std::string SanitizerReports() const;
  std::vector<std::string> SettingsOf(size_t bridge, LogKind log);
  bool IsReady(size_t bridge) const;
  void BeginOnBridge(const Fault& fault);
  void BeginOnNats(const Fault& fault);
  void BeginOnLink(const Fault& fault);

  const LogKind log_;
  const std::vector<std::string> settings_;
  const test::TempDir directory_;
  std::optional<NatsCluster> nats_;
  // By bridge, then by NATS server.
  std::vector<std::vector<std::unique_ptr<test::FaultProxy>>> links_;
  std::vector<std::unique_ptr<test::BridgeProcess>> bridges_;
  std::vector<bool> is_killed_;  // by bridge
  std::vector<OpenFault> open_faults_;
  std::optional<NginxFront> front_;
};

}  // namespace bridge::chaos
