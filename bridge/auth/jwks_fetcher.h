#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "bridge/auth/fetch_url.h"
#include "bridge/auth/key_set.h"
#include "bridge/base/clock.h"

namespace bridge::auth {

// The keys of a JWK Set at a URL, fetched on a thread of its own: at the start, when they are old, and when a token
// names a key that is not among them. What it has stays while the URL cannot be reached or answers with nonsense.
// Thread-safe.
class JwksFetcher : public KeySource {
 public:
  // Kids that wait for a fetch, so that tokens with made-up ones cost no memory.
  static constexpr size_t kWantedMax = 256;

  struct Options {
    std::string url;
    // The keys' age at which they are fetched again; jittered by 10 %.
    absl::Duration max_age = absl::Minutes(10);
    // Between the starts of two fetches, whatever tokens ask for.
    absl::Duration interval_min = absl::Seconds(15);
    // For so long nobody asks again for a kid that was not there.
    absl::Duration missing_for = absl::Minutes(1);
    // The wait after a failure, doubled up to the maximum while it fails.
    absl::Duration backoff_min = absl::Seconds(1);
    absl::Duration backoff_max = absl::Minutes(5);
    FetchLimits limits;
    // Called after each fetch, on the fetcher's thread.
    std::function<void(const absl::Status&)> on_fetched;
  };

  // Fetches at once, and does not wait for it. INVALID_ARGUMENT as of CheckFetchUrl.
  static absl::StatusOr<std::unique_ptr<JwksFetcher>> Start(Options options);

  // Ends a fetch that goes on, within a second or so.
  ~JwksFetcher() override;
  JwksFetcher(const JwksFetcher&) = delete;
  JwksFetcher& operator=(const JwksFetcher&) = delete;

  std::shared_ptr<const KeySet> Keys() const override;
  // True until a fetch that began later has come back; where none can be had, that is a true answer for long.
  bool MayStillCome(absl::string_view kid) override;

 private:
  using Kids = absl::flat_hash_set<std::string>;

  explicit JwksFetcher(Options options);
  void Run();
  // False when it is time to end.
  bool AwaitTurn();
  absl::Status Fetch();
  void Succeeded(std::shared_ptr<const KeySet> keys);
  void Failed();

  const Options options_;
  std::atomic<bool> is_stopping_{false};

  mutable absl::Mutex mutex_;
  std::shared_ptr<const KeySet> keys_ ABSL_GUARDED_BY(mutex_) = std::make_shared<const KeySet>();
  // Asked for since the last fetch began; before it, and it is going on; and those that it did not bring.
  Kids wanted_ ABSL_GUARDED_BY(mutex_);
  Kids awaited_ ABSL_GUARDED_BY(mutex_);
  Kids missing_ ABSL_GUARDED_BY(mutex_);
  base::MonotonicTime missing_until_ ABSL_GUARDED_BY(mutex_);
  base::MonotonicTime last_start_ ABSL_GUARDED_BY(mutex_);
  base::MonotonicTime next_start_ ABSL_GUARDED_BY(mutex_);
  absl::Duration backoff_ ABSL_GUARDED_BY(mutex_);
  bool has_succeeded_last_ ABSL_GUARDED_BY(mutex_) = false;
  // next_start_ is another one, or it is time to end.
  bool is_woken_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;
};

}  // namespace bridge::auth
