#include "tests/support/wall_clock.h"

#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <new>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

namespace bridge::test {

WallClock::WallClock() {
  const char* const preload = std::getenv("BRIDGE_WALL_CLOCK");
  const std::string path = dir_.path() + "/ahead";
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (preload == nullptr || file < 0 || ftruncate(file, sizeof(*ahead_)) != 0) {
    std::fprintf(stderr, "no clock to set: run this test by ctest\n");
    std::abort();
  }
  void* const mapped = mmap(nullptr, sizeof(*ahead_), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (mapped == MAP_FAILED) {
    std::perror("mmap");
    std::abort();
  }
  ahead_ = new (mapped) std::atomic<int64_t>(0);
  setenv("BRIDGE_WALL_CLOCK_FILE", path.c_str(), 1);
  setenv("LD_PRELOAD", preload, 1);
}

WallClock::~WallClock() {
  unsetenv("LD_PRELOAD");
  unsetenv("BRIDGE_WALL_CLOCK_FILE");
  munmap(ahead_, sizeof(*ahead_));
}

void WallClock::Jump(absl::Duration by) { ahead_->fetch_add(absl::ToInt64Nanoseconds(by)); }

absl::Time WallClock::Now() const { return absl::Now() + absl::Nanoseconds(ahead_->load()); }

}  // namespace bridge::test
