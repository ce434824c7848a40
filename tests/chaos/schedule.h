#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace bridge::chaos {

// What a fault is done to.
enum class Target {
  kBridge,
  kNats,
  kLink,    // the connections of one bridge to NATS
  kClients  // event streams and publishers
};

enum class Action {
  kKill,    // SIGKILL, and started again at the end
  kDrain,   // SIGTERM, and started again when it has ended
  kFreeze,  // SIGSTOP, and SIGCONT at the end
  kCut,     // connections are reset
  kRefuse,  // and those that come too, until the end
  kHold,    // nothing passes until the end
  kDelay,   // everything comes late until the end
};

struct Fault {
  Target target = Target::kBridge;
  size_t index = 0;
  Action action = Action::kKill;
  // From the fault before it.
  absl::Duration pause;
  absl::Duration lasts;
};

// "kill bridge 1 for 120ms".
std::string TextOf(const Fault& fault);

// What there is that can fail.
struct Parts {
  size_t bridges = 1;
  size_t nats_servers = 0;
  // Bridges and NATS servers can be killed: the log outlives it.
  bool survives_kills = true;
};

// The faults of a run. The same for the same seed, parts and count. A fault may begin before others have ended, but not
// on what is failing already, and of NATS servers there fails only one at a time.
//
// `only` leaves the kinds of fault whose name begins so, such as "freeze nats"; aborts the program where there is none.
std::vector<Fault> MakeSchedule(uint64_t seed, const Parts& parts, size_t count, const std::string& only = "");

// From the beginning to the last fault.
absl::Duration LengthOf(const std::vector<Fault>& schedule);

}  // namespace bridge::chaos
