// Tells ThreadSanitizer what absl::Mutex and absl::CondVar order. Debian's Abseil is not built for it, so that without
// this every datum behind a mutex is reported as a race.
//
// These definitions take the place of the shared library's, which they call. Linked into each program of the preset
// tsan; in others this file is empty. A sanitizer sees what happens before what as "release" on one thread and
// "acquire" on another of one address: here the mutex's.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BRIDGE_TSAN
#endif
#endif

#ifdef BRIDGE_TSAN

#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <string>

#include <sanitizer/tsan_interface.h>

#include "absl/base/config.h"
#include "absl/base/options.h"
#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#define BRIDGE_TEXT_OF_TOKEN(token) #token
#define BRIDGE_TEXT_OF(macro) BRIDGE_TEXT_OF_TOKEN(macro)

namespace {

// The library's own function. `name` is the rest of its mangled name, from the class on.
template <typename Function>
Function* Original(bool is_const, const char* name) {
  const std::string abi_namespace = BRIDGE_TEXT_OF(ABSL_OPTION_INLINE_NAMESPACE_NAME);
  const std::string symbol =
      std::string(is_const ? "_ZNK" : "_ZN") + "4absl" + std::to_string(abi_namespace.size()) + abi_namespace + name;
  void* const function = dlsym(RTLD_NEXT, symbol.c_str());
  if (function == nullptr) {
    std::fprintf(stderr, "tsan_absl_mutex: %s is not in a shared library\n", symbol.c_str());
    std::abort();
  }
  return reinterpret_cast<Function*>(function);
}

// The mutex in whose Unlock or Await this thread is, where conditions are evaluated: by whom and when is the library's
// matter, but always with the mutex held.
thread_local absl::Mutex* evaluating_mutex = nullptr;

class EvaluationScope {
 public:
  explicit EvaluationScope(absl::Mutex* mutex) : outer_(evaluating_mutex) { evaluating_mutex = mutex; }
  ~EvaluationScope() { evaluating_mutex = outer_; }
  EvaluationScope(const EvaluationScope&) = delete;
  EvaluationScope& operator=(const EvaluationScope&) = delete;

 private:
  absl::Mutex* const outer_;
};

// Calls a function that gives the mutex up, or waits for it, and that may take it again.
template <typename Call>
auto Across(absl::Mutex* mutex, Call call) {
  const EvaluationScope scope(mutex);
  __tsan_release(mutex);
  struct Acquire {
    ~Acquire() { __tsan_acquire(mutex); }
    absl::Mutex* mutex;
  } const acquire{mutex};
  return call();
}

}  // namespace

#define BRIDGE_ORIGINAL(is_const, name, ...) static auto* const original = Original<__VA_ARGS__>(is_const, name)

namespace absl {
ABSL_NAMESPACE_BEGIN

void Mutex::Lock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  BRIDGE_ORIGINAL(false, "5Mutex4LockEv", void(Mutex*));
  original(this);
  __tsan_acquire(this);
}

void Mutex::Unlock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  BRIDGE_ORIGINAL(false, "5Mutex6UnlockEv", void(Mutex*));
  const EvaluationScope scope(this);
  __tsan_release(this);
  original(this);
}

bool Mutex::TryLock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  BRIDGE_ORIGINAL(false, "5Mutex7TryLockEv", bool(Mutex*));
  const bool is_locked = original(this);
  if (is_locked) {
    __tsan_acquire(this);
  }
  return is_locked;
}

void Mutex::ReaderLock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  BRIDGE_ORIGINAL(false, "5Mutex10ReaderLockEv", void(Mutex*));
  original(this);
  __tsan_acquire(this);
}

void Mutex::ReaderUnlock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  BRIDGE_ORIGINAL(false, "5Mutex12ReaderUnlockEv", void(Mutex*));
  const EvaluationScope scope(this);
  __tsan_release(this);
  original(this);
}

void Mutex::LockWhen(const Condition& condition) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  BRIDGE_ORIGINAL(false, "5Mutex8LockWhenERKNS0_9ConditionE", void(Mutex*, const Condition&));
  Across(this, [&] { original(this, condition); });
}

void Mutex::ReaderLockWhen(const Condition& condition) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  BRIDGE_ORIGINAL(false, "5Mutex14ReaderLockWhenERKNS0_9ConditionE", void(Mutex*, const Condition&));
  Across(this, [&] { original(this, condition); });
}

bool Mutex::LockWhenWithTimeout(const Condition& condition, Duration timeout) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  BRIDGE_ORIGINAL(false, "5Mutex19LockWhenWithTimeoutERKNS0_9ConditionENS0_8DurationE",
                  bool(Mutex*, const Condition&, Duration));
  return Across(this, [&] { return original(this, condition, timeout); });
}

void Mutex::Await(const Condition& condition) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  BRIDGE_ORIGINAL(false, "5Mutex5AwaitERKNS0_9ConditionE", void(Mutex*, const Condition&));
  Across(this, [&] { original(this, condition); });
}

bool Mutex::AwaitWithTimeout(const Condition& condition, Duration timeout) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  BRIDGE_ORIGINAL(false, "5Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE",
                  bool(Mutex*, const Condition&, Duration));
  return Across(this, [&] { return original(this, condition, timeout); });
}

bool Mutex::AwaitWithDeadline(const Condition& condition, Time deadline) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  BRIDGE_ORIGINAL(false, "5Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE", bool(Mutex*, const Condition&, Time));
  return Across(this, [&] { return original(this, condition, deadline); });
}

bool Condition::Eval() const {
  BRIDGE_ORIGINAL(true, "9Condition4EvalEv", bool(const Condition*));
  if (evaluating_mutex == nullptr) {
    return original(this);
  }
  __tsan_acquire(evaluating_mutex);
  const bool is_met = original(this);
  __tsan_release(evaluating_mutex);
  return is_met;
}

void CondVar::Wait(Mutex* mutex) {
  BRIDGE_ORIGINAL(false, "7CondVar4WaitEPNS0_5MutexE", void(CondVar*, Mutex*));
  Across(mutex, [&] { original(this, mutex); });
}

bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  BRIDGE_ORIGINAL(false, "7CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE", bool(CondVar*, Mutex*, Duration));
  return Across(mutex, [&] { return original(this, mutex, timeout); });
}

bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  BRIDGE_ORIGINAL(false, "7CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE", bool(CondVar*, Mutex*, Time));
  return Across(mutex, [&] { return original(this, mutex, deadline); });
}

ABSL_NAMESPACE_END
}  // namespace absl

#endif  // BRIDGE_TSAN
