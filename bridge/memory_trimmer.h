#pragma once

#include <cstdint>
#include <limits>

namespace bridge {

// Gives back to the system what the allocator keeps for a next time: after a crowd of clients the process is as small
// as before.
//
// Not thread-safe.
class MemoryTrimmer {
 public:
  // Called before there are clients, and every other second. `held_bytes` is about what clients and history hold now.
  void Look(uint64_t held_bytes);

 private:
  // The most that was held since memory was last given back.
  uint64_t held_bytes_max_ = 0;
  // What was resident beyond what was held, at the least.
  uint64_t spare_bytes_min_ = std::numeric_limits<uint64_t>::max();
  // A search for spare memory that finds little is repeated after twice the time.
  int looks_since_trim_ = 0;
  int looks_between_trims_ = 1;
};

}  // namespace bridge
