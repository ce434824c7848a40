#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <sys/types.h>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace bridge::test {

// The real binary ($BRIDGE_BIN), as a process of its own on free loopback ports. Killed when the test ends.
class BridgeProcess {
 public:
  // `settings` are --set arguments: "http.heartbeat=1s". Aborts the test program where the bridge does not start.
  explicit BridgeProcess(std::vector<std::string> settings = {}) : BridgeProcess(std::move(settings), {}) {}
  // The same with more variables in its environment: "NAME=value".
  struct Environment {
    std::vector<std::string> variables;
  };
  BridgeProcess(std::vector<std::string> settings, Environment environment);
  ~BridgeProcess();
  BridgeProcess(const BridgeProcess&) = delete;
  BridgeProcess& operator=(const BridgeProcess&) = delete;

  uint16_t http_port() const { return http_port_; }
  uint16_t grpc_port() const { return grpc_port_; }
  uint16_t admin_port() const { return admin_port_; }
  std::string grpc_target() const;

  pid_t pid() const { return pid_; }

  void Signal(int signal) const;
  // The exit code, or 128 + the signal that ended it; nothing where it does not end in time.
  std::optional<int> WaitForExit(absl::Duration timeout = absl::Seconds(10));
  // Ends it by `signal`, and starts it again on the same ports. Aborts the test program where it ends otherwise than by
  // the signal or with 0.
  void Stop(int signal);
  void Start();
  void Restart(int signal);

  // The value of a metric line, such as "sse_bridge_event_streams" or "sse_bridge_gaps_total{reason=\"slow\"}"; 0 where
  // there is none.
  double Metric(absl::string_view name) const;
  // Waits until the metric has the value.
  bool WaitForMetric(absl::string_view name, double value, absl::Duration timeout = absl::Seconds(10)) const;

  // Resident memory in bytes, now and at most so far, and the CPU time that it has used.
  uint64_t ResidentBytes() const;
  uint64_t PeakResidentBytes() const;
  absl::Duration CpuTime() const;
  // The CPU time of its threads whose names begin so.
  absl::Duration CpuTimeOfThreads(absl::string_view prefix) const;

  // How many files and sockets it has open, and how many it may have from now on.
  size_t OpenFiles() const;
  void LimitOpenFiles(size_t files_max) const;

  // What it has written to standard error so far.
  std::string Log() const;

 private:
  // A figure of /proc/PID/status.
  uint64_t StatusBytes(absl::string_view name) const;

  std::vector<std::string> settings_;
  const Environment environment_;
  pid_t pid_ = -1;
  std::string log_path_;
  uint16_t http_port_ = 0;
  uint16_t grpc_port_ = 0;
  uint16_t admin_port_ = 0;
};

// The outcome of a run of the binary that ends by itself.
struct RunResult {
  int exit_code = -1;
  std::string output;  // standard output and standard error
};
RunResult RunBridge(const std::vector<std::string>& arguments);
// The same where the process may have so many files open, and raise that no further.
RunResult RunBridgeWithOpenFiles(uint64_t files_max, const std::vector<std::string>& arguments);

// Whether the memory that the bridge takes says anything: not in a sanitizer's build.
bool CanMeasureMemory();

// Calls `is_true` until it is or the time is over.
bool Eventually(const std::function<bool()>& is_true, absl::Duration timeout = absl::Seconds(10));

}  // namespace bridge::test
