// Loaded into a process before all else (LD_PRELOAD): its wall clock is that of the machine and as much more as stands
// in a file that a test writes (wall_clock.h). It jumps as the machine's own would: at once, for every thread, and also
// in waits until a time of that clock, which the kernel would end then.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

namespace {

constexpr int64_t kNanosecondsInSecond = 1'000'000'000;
// How late a wait notices a jump.
constexpr int64_t kLook = 5'000'000;

template <typename Function>
Function* Real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

// By how many nanoseconds the clock is ahead.
std::atomic<int64_t>* MapAhead() {
  static std::atomic<int64_t> nothing{0};
  const char* const path = std::getenv("BRIDGE_WALL_CLOCK_FILE");
  const int file = path == nullptr ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    return &nothing;
  }
  void* const mapped = mmap(nullptr, sizeof(nothing), PROT_READ, MAP_SHARED, file, 0);
  close(file);
  return mapped == MAP_FAILED ? &nothing : static_cast<std::atomic<int64_t>*>(mapped);
}

int64_t Ahead() {
  static const std::atomic<int64_t>* const ahead = MapAhead();
  return ahead->load(std::memory_order_relaxed);
}

int64_t Nanoseconds(const timespec& time) { return int64_t{time.tv_sec} * kNanosecondsInSecond + time.tv_nsec; }

timespec Timespec(int64_t nanoseconds) {
  return {.tv_sec = nanoseconds / kNanosecondsInSecond, .tv_nsec = nanoseconds % kNanosecondsInSecond};
}

int64_t Read(clockid_t clock) {
  timespec now = {};
  clock_gettime(clock, &now);
  return Nanoseconds(now);
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* time) noexcept {
  static auto* const real = Real<int(clockid_t, timespec*)>("clock_gettime");
  const int result = real(clock, time);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    *time = Timespec(Nanoseconds(*time) + Ahead());
  }
  return result;
}

int gettimeofday(timeval* time, void* /*zone*/) noexcept {
  const timespec now = Timespec(Read(CLOCK_REALTIME));
  *time = {.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
  return 0;
}

time_t time(time_t* out) noexcept {
  const time_t now = Read(CLOCK_REALTIME) / kNanosecondsInSecond;
  if (out != nullptr) {
    *out = now;
  }
  return now;
}

// Abseil's waits with a timeout.
long syscall(long number, ...) noexcept {
  static auto* const real = Real<long(long, ...)>("syscall");
  long a[6];
  va_list arguments;
  va_start(arguments, number);
  for (long& argument : a) {
    argument = va_arg(arguments, long);
  }
  va_end(arguments);
  // NOLINTNEXTLINE(performance-no-int-to-ptr): so a system call is given a pointer
  const auto* const deadline = reinterpret_cast<const timespec*>(a[3]);
  if (number != SYS_futex || (a[1] & FUTEX_CLOCK_REALTIME) == 0 || deadline == nullptr) {
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
  }
  while (true) {
    const int64_t left = std::max<int64_t>(Nanoseconds(*deadline) - Read(CLOCK_REALTIME), 0);
    const timespec until = Timespec(Read(CLOCK_MONOTONIC) + std::min(left, kLook));
    const long result = real(number, a[0], a[1] & ~FUTEX_CLOCK_REALTIME, a[2], &until, a[4], a[5]);
    if (result != -1 || errno != ETIMEDOUT || left <= kLook) {
      return result;
    }
  }
}

// Those of C libraries. A wait that is looked at in between ends as if it had been woken for nothing, which it may.
int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex, const timespec* deadline) {
  constexpr unsigned kIsMonotonic = 2;  // as glibc keeps the clock of pthread_condattr_setclock
  if ((condition->__data.__wrefs & kIsMonotonic) != 0) {
    return pthread_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, deadline);
  }
  const int64_t left = std::max<int64_t>(Nanoseconds(*deadline) - Read(CLOCK_REALTIME), 0);
  const timespec until = Timespec(Read(CLOCK_MONOTONIC) + std::min(left, kLook));
  const int result = pthread_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, &until);
  return result == ETIMEDOUT && left > kLook ? 0 : result;
}

}  // extern "C"
