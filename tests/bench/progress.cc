#include "tests/bench/progress.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/bench/report.h"
#include "tests/bench/sockets.h"

namespace bridge::bench {

static_assert(std::atomic<uint64_t>::is_always_lock_free, "shared between processes");

Progress::Progress(const std::string& file) {
  const Fd fd(open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.is_open() || ftruncate(fd.get(), sizeof(uint64_t)) != 0) FailErrno(file);
  void* memory = mmap(nullptr, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) FailErrno(file);
  value_ = static_cast<std::atomic<uint64_t>*>(memory);
}

Progress::~Progress() { munmap(value_, sizeof(uint64_t)); }

}  // namespace bridge::bench
