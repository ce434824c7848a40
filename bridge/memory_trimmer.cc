#include "bridge/memory_trimmer.h"

#include <algorithm>
#include <fstream>
#include <malloc.h>
#include <unistd.h>

namespace bridge {
namespace {

constexpr uint64_t kFreedWorthIt = uint64_t{1} << 20;
constexpr uint64_t kSpareWorthIt = uint64_t{8} << 20;
constexpr int kLooksBetweenTrimsMax = 16;

// As the kernel counts them; 0 where it does not say.
uint64_t ResidentBytes() {
  uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;  // the first number is the address space's
  return pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

void MemoryTrimmer::Look(uint64_t held_bytes) {
  // What parsing takes for a moment is seen only as memory that nothing held explains.
  const uint64_t resident = ResidentBytes();
  const uint64_t spare = resident - std::min(resident, held_bytes);
  spare_bytes_min_ = std::min(spare_bytes_min_, spare);
  held_bytes_max_ = std::max(held_bytes_max_, held_bytes);
  ++looks_since_trim_;
  const bool is_freed = held_bytes + kFreedWorthIt < held_bytes_max_;
  const bool is_spare = spare > spare_bytes_min_ + kSpareWorthIt && looks_since_trim_ >= looks_between_trims_;
  if (!is_freed && !is_spare) {
    return;
  }
  malloc_trim(0);
  const bool was_worth_it = ResidentBytes() + kFreedWorthIt < resident;
  looks_between_trims_ = was_worth_it ? 1 : std::min(2 * looks_between_trims_, kLooksBetweenTrimsMax);
  looks_since_trim_ = 0;
  held_bytes_max_ = held_bytes;
}

}  // namespace bridge
