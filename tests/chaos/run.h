#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/chaos/world.h"

namespace bridge::chaos {

struct RunOptions {
  LogKind log = LogKind::kMemory;
  uint64_t seed = 0;
  size_t events = 6'000;
  size_t faults = 10;
  // Leaves the faults whose name begins so, such as "freeze nats".
  std::string only = {};
  size_t streams = 100;
  size_t backends = 6;
  // Without idempotency keys a run has to fail: to see that it can.
  bool has_keys = true;
};

// One run: processes, backends and event streams, with faults among them until all events have been published; then all
// that failed is whole again, and what was delivered is compared with what was acked. Says what it does on standard
// output. Returns what was not as promised; empty where all is well.
std::vector<std::string> Run(const RunOptions& options);

}  // namespace bridge::chaos
