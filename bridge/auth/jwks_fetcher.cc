#include "bridge/auth/jwks_fetcher.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"

#include "bridge/auth/jwks.h"
#include "bridge/base/status_macros.h"

namespace bridge::auth {
namespace {

using base::MonotonicClock;

MonotonicClock::duration Monotonic(absl::Duration duration) {
  return std::chrono::duration_cast<MonotonicClock::duration>(absl::ToChronoNanoseconds(duration));
}

// So that replicas do not ask together.
absl::Duration Jittered(absl::Duration duration) {
  absl::BitGen random;
  return duration * absl::Uniform(random, 0.9, 1.1);
}

}  // namespace

absl::StatusOr<std::unique_ptr<JwksFetcher>> JwksFetcher::Start(Options options) {
  RETURN_IF_ERROR(CheckFetchUrl(options.url));
  std::unique_ptr<JwksFetcher> fetcher(new JwksFetcher(std::move(options)));
  fetcher->thread_ = std::thread([raw = fetcher.get()] { raw->Run(); });
  return fetcher;
}

JwksFetcher::JwksFetcher(Options options)
    : options_(std::move(options)), next_start_(MonotonicClock::now()), backoff_(options_.backoff_min) {}

JwksFetcher::~JwksFetcher() {
  is_stopping_.store(true, std::memory_order_relaxed);
  {
    const absl::MutexLock lock(&mutex_);
    is_woken_ = true;
  }
  thread_.join();
}

std::shared_ptr<const KeySet> JwksFetcher::Keys() const {
  const absl::MutexLock lock(&mutex_);
  return keys_;
}

bool JwksFetcher::MayStillCome(absl::string_view kid) {
  const absl::MutexLock lock(&mutex_);
  if (keys_->HasKid(kid) || awaited_.contains(kid)) {
    return true;  // it has come just now, or is about to
  }
  const base::MonotonicTime now = MonotonicClock::now();
  if (has_succeeded_last_ && now < missing_until_ && missing_.contains(kid)) {
    return false;
  }
  if (wanted_.size() < kWantedMax) {  // anybody can make up more
    wanted_.emplace(kid);
  }
  const base::MonotonicTime soonest = std::max(now, last_start_ + Monotonic(options_.interval_min));
  if (soonest < next_start_) {
    next_start_ = soonest;
    is_woken_ = true;
  }
  return true;
}

void JwksFetcher::Run() {
  while (AwaitTurn()) {
    const absl::Status status = Fetch();
    if (options_.on_fetched != nullptr && !is_stopping_.load(std::memory_order_relaxed)) {
      options_.on_fetched(status);
    }
  }
}

bool JwksFetcher::AwaitTurn() {
  const absl::MutexLock lock(&mutex_);
  base::MonotonicTime now = MonotonicClock::now();
  while (now < next_start_ && !is_stopping_.load(std::memory_order_relaxed)) {
    is_woken_ = false;
    mutex_.AwaitWithTimeout(absl::Condition(&is_woken_), absl::FromChrono(next_start_ - now));
    now = MonotonicClock::now();
  }
  last_start_ = now;
  awaited_ = std::exchange(wanted_, Kids());
  return !is_stopping_.load(std::memory_order_relaxed);
}

absl::Status JwksFetcher::Fetch() {
  absl::StatusOr<std::string> text = FetchUrl(options_.url, options_.limits, is_stopping_);
  if (!text.ok()) {
    Failed();
    return std::move(text).status();
  }
  absl::StatusOr<std::vector<Key>> keys = ParseJwks(*text, JwksSecrets::kIgnored);
  if (!keys.ok()) {
    Failed();
    return absl::UnavailableError(absl::StrCat(options_.url, ": the answer ", keys.status().message()));
  }
  Succeeded(std::make_shared<const KeySet>(*std::move(keys)));
  return absl::OkStatus();
}

void JwksFetcher::Succeeded(std::shared_ptr<const KeySet> keys) {
  const absl::MutexLock lock(&mutex_);
  keys_ = std::move(keys);
  missing_ = std::exchange(awaited_, Kids());
  has_succeeded_last_ = true;
  backoff_ = options_.backoff_min;
  const base::MonotonicTime now = MonotonicClock::now();
  missing_until_ = now + Monotonic(options_.missing_for);
  next_start_ = now + Monotonic(Jittered(options_.max_age));
  if (!wanted_.empty()) {
    next_start_ = std::min(next_start_, last_start_ + Monotonic(options_.interval_min));
  }
}

void JwksFetcher::Failed() {
  const absl::MutexLock lock(&mutex_);
  wanted_.merge(awaited_);
  awaited_.clear();
  has_succeeded_last_ = false;
  next_start_ = MonotonicClock::now() + Monotonic(Jittered(backoff_));
  backoff_ = std::min(backoff_ * 2, options_.backoff_max);
}

}  // namespace bridge::auth
