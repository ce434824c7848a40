#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/chaos/world.h"

namespace bridge::chaos {

struct CallsOptions {
  LogKind log = LogKind::kNats;
  uint64_t seed = 0;
  size_t calls = 40;
  // Of each answer.
  uint64_t tokens = 150;
  size_t faults = 10;
  // Leaves the faults whose name begins so, such as "freeze nats".
  std::string only = {};
  size_t workers = 4;
};

// One run: processes, workers and the readers of calls, with faults among them; then all that failed is whole again,
// and what readers got is compared with what workers sent. Says what it does on standard output. Returns what was not
// as promised; empty where all is well.
std::vector<std::string> RunCalls(const CallsOptions& options);

}  // namespace bridge::chaos
