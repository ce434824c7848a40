#include "bridge/ops/log_limiter.h"

namespace bridge::ops {

std::optional<uint64_t> LogLimiter::Admit(base::MonotonicTime now) {
  base::MonotonicTime next = next_.load(std::memory_order_relaxed);
  if (now < next || !next_.compare_exchange_strong(next, now + window_, std::memory_order_relaxed)) {
    suppressed_.fetch_add(1, std::memory_order_relaxed);
    return std::nullopt;
  }
  return suppressed_.exchange(0, std::memory_order_relaxed);
}

}  // namespace bridge::ops
