#include "bridge/rpc/rate_limiter.h"

#include <algorithm>
#include <chrono>

#include "absl/strings/str_cat.h"

#include "bridge/ops/logging.h"

namespace bridge::rpc {
namespace {

using Duration = base::MonotonicClock::duration;

constexpr Duration kBurst = std::chrono::seconds(1);
constexpr Duration kForgettingInterval = std::chrono::milliseconds(100);

}  // namespace

void RateLimiter::Allowance::Bucket::Take(uint64_t amount, base::MonotonicTime now) {
  if (per_second == 0) {
    return;
  }
  const auto time = std::chrono::duration<double>(static_cast<double>(amount) / static_cast<double>(per_second));
  used_until = std::max(used_until, now - kBurst) + std::chrono::duration_cast<Duration>(time);
}

RateLimiter::Allowance::Allowance(const Limits& limits, base::MonotonicTime now)
    : events_{.per_second = limits.events_per_second, .used_until = now - kBurst},
      bytes_{.per_second = limits.bytes_per_second, .used_until = now - kBurst} {}

void RateLimiter::Allowance::Take(uint64_t events, uint64_t bytes, base::MonotonicTime now) {
  const absl::MutexLock lock(&mutex_);
  events_.Take(events, now);
  bytes_.Take(bytes, now);
}

Duration RateLimiter::Allowance::Wait(base::MonotonicTime now) const {
  const absl::MutexLock lock(&mutex_);
  return std::max(std::max(events_.used_until, bytes_.used_until) - now, Duration::zero());
}

bool RateLimiter::Allowance::IsWhole(base::MonotonicTime now) const {
  const absl::MutexLock lock(&mutex_);
  return std::max(events_.used_until, bytes_.used_until) <= now - kBurst;
}

std::shared_ptr<RateLimiter::Allowance> RateLimiter::Of(const std::string& publisher, base::MonotonicTime now) {
  if (limits_.events_per_second == 0 && limits_.bytes_per_second == 0) {
    return nullptr;
  }
  const absl::MutexLock lock(&mutex_);
  if (const auto found = allowances_.find(publisher); found != allowances_.end()) {
    return found->second;
  }
  if (allowances_.size() >= forget_at_ && now >= next_forgetting_) {
    absl::erase_if(allowances_,
                   [now](const auto& entry) { return entry.second.use_count() == 1 && entry.second->IsWhole(now); });
    // Not at each new one where few can be forgotten.
    forget_at_ = std::clamp<size_t>(2 * allowances_.size(), 1000, kPublishersMax);
    next_forgetting_ = now + kForgettingInterval;
  }
  // Beyond the bound they are one publisher.
  std::shared_ptr<Allowance>& allowance = allowances_[allowances_.size() < kPublishersMax ? publisher : "others:"];
  if (allowance == nullptr) {
    allowance = std::make_shared<Allowance>(limits_, now);
  }
  return allowance;
}

void RateLimiter::NoteLimited(absl::string_view publisher) {
  limited_.Add(1);
  if (const auto suppressed = lines_.Admit()) {
    ops::LogWarn("publish_rate_limited", {{"publisher", publisher}, {"suppressed", absl::StrCat(*suppressed)}});
  }
}

}  // namespace bridge::rpc
