#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

#include "bridge/base/clock.h"
#include "bridge/base/metric.h"
#include "bridge/ops/log_limiter.h"

namespace bridge::rpc {

// Cuts connections of the gRPC port that take what no publisher does.
//
// gRPC 1.51 sets no bound to what HTTP/2 lets a client do before it has said who it is: open streams and reset them at
// once (CVE-2023-44487), or send a head that never ends (CVE-2023-33953). Both show from outside: as calls that are
// given up as fast as they begin, and as bytes that come and are never answered. So the bridge accepts connections
// itself, watches both for each, and resets the one that is over its bounds, with all that the kernel still holds of
// it.
//
// Thread-safe, but for Add and Check, which are for one thread. A call names its connection by the peer that gRPC says;
// one that gRPC says otherwise than the kernel is not guarded.
class ConnectionGuard {
 public:
  struct Limits {
    // Calls of a connection that have begun and are not over. A client that keeps to the streams that a connection may
    // have comes here only by giving calls up.
    uint64_t open_calls_max = 2000;
    // Calls that a connection gives up, or that are no publisher's (health, reflection, unknown): so many at once, and
    // so many in a second.
    uint64_t wasted_calls_max = 2000;
    uint64_t wasted_calls_per_second = 100;
    // Bytes that a connection receives since the bridge has last sent something on it: of a stranger's, of one on
    // which somebody may publish, and of all together, where the one with the most goes. Whoever sends messages is sent
    // window updates (RFC 9113 §6.9), and whoever sends a head is sent nothing; many large messages at a time may be on
    // their way between two updates.
    uint64_t stranger_bytes_max = uint64_t{2} << 20;
    uint64_t publisher_bytes_max = uint64_t{32} << 20;
    uint64_t bytes_max_total = uint64_t{128} << 20;
  };

  enum Reason : uint8_t { kOpenCalls, kWastedCalls, kBytes };
  static constexpr size_t kReasons = 3;
  static absl::string_view NameOf(Reason reason);

  struct Metrics {
    base::SharedMetric open;
    base::SharedMetric accepted;
    std::array<base::SharedMetric, kReasons> cut;
  };

  class Call;

  explicit ConnectionGuard(const Limits& limits) : limits_(limits) {}
  ~ConnectionGuard();
  ConnectionGuard(const ConnectionGuard&) = delete;
  ConnectionGuard& operator=(const ConnectionGuard&) = delete;

  // Guards a connection that has been accepted, until it is closed.
  void Add(int fd, base::MonotonicTime now);
  // To be called every kCheckInterval.
  void Check(base::MonotonicTime now);
  static constexpr std::chrono::milliseconds kCheckInterval{20};

  // A publisher's call has begun. `peer` is what gRPC says, "ipv4:192.0.2.1:50000".
  std::shared_ptr<Call> Begin(const std::string& peer);
  // Another one has.
  void NoteForeignCall(const std::string& peer);

  const Metrics& metrics() const { return metrics_; }

 private:
  struct Connection;

  std::shared_ptr<Connection> Find(const std::string& peer);
  // Looks at what it has received; false where it is closed.
  bool Look(Connection& connection, base::MonotonicTime now);
  void Forget(size_t index);
  void NoteWasted(Connection& connection);
  void Cut(Connection& connection, Reason reason);

  const Limits limits_;
  Metrics metrics_;
  ops::LogLimiter lines_{absl::Seconds(10)};

  // For the thread of Add and Check only: all connections, the next one to be looked at, and what they have received
  // and were not answered, as far as it has been looked at.
  std::vector<std::shared_ptr<Connection>> watched_;
  size_t next_ = 0;
  uint64_t bytes_ = 0;

  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, std::shared_ptr<Connection>> by_peer_ ABSL_GUARDED_BY(mutex_);
};

// A publisher's call, from its begin to its end, as the guard sees it. The guard outlives it. Thread-safe.
class ConnectionGuard::Call {
 public:
  // `connection` is nullptr where it is not guarded.
  Call(ConnectionGuard* guard, std::shared_ptr<Connection> connection);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // It is somebody's who may publish, and so is its connection.
  void NoteLetIn();
  // Its client has given it up.
  void NoteGivenUp();

 private:
  ConnectionGuard* const guard_;
  const std::shared_ptr<Connection> connection_;
};

}  // namespace bridge::rpc
