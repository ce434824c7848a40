#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "tests/support/bridge_process.h"

namespace bridge::test {

// Somebody who uses the bridge while others attack it: publishes to a topic of its own by gRPC, up to two hundred
// times a second, and reads it with an event stream. Knows what the bridge had before the attack.
class Bystander {
 public:
  static constexpr const char* kTopic = "bystander";

  // The bridge has no other clients yet. Returns when the first events have come.
  explicit Bystander(const BridgeProcess* bridge);
  ~Bystander();
  Bystander(const Bystander&) = delete;
  Bystander& operator=(const Bystander&) = delete;

  // REQUIRES: the attackers have gone. Ends the reading, and expects that every event came once and in order, half of
  // them at once, 99 of 100 soon and none very late, and that the bridge gives back the memory and the descriptors that
  // it took.
  void ExpectUnharmed();

  // By how much the resident memory has grown at most, as seen with each event.
  uint64_t PeakGrowthBytes() const;

 private:
  // What the bridge has because of its clients.
  struct Holdings {
    size_t open_files = 0;
    uint64_t resident_bytes = 0;
  };

  void Run();
  void ExpectSoon() const;
  void ExpectGivenBack() const;

  const BridgeProcess* const bridge_;
  Holdings before_;
  mutable absl::Mutex mutex_;
  bool is_ending_ ABSL_GUARDED_BY(mutex_) = false;
  // Why it gave up; empty where it did not.
  std::string failure_ ABSL_GUARDED_BY(mutex_);
  std::vector<absl::Duration> latencies_ ABSL_GUARDED_BY(mutex_);
  uint64_t resident_bytes_max_ ABSL_GUARDED_BY(mutex_) = 0;
  std::thread thread_;
};

}  // namespace bridge::test
