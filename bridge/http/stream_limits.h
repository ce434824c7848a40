#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/node_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "bridge/base/clock.h"
#include "bridge/base/ip_address.h"
#include "bridge/base/metric.h"
#include "bridge/http/client_address.h"
#include "bridge/http/passing_refusal.h"
#include "bridge/ops/log_limiter.h"

namespace bridge::http {

// How many event streams may be open, in all and of one client, and how often one address may open them. Thread-safe.
//
// A client is an address where that is one client's (IPv6: its network of 64 bits), and a token's subject.
class StreamLimits {
 private:
  template <typename Key>
  using Holders = absl::node_hash_map<Key, uint64_t>;
  using AddressHolder = Holders<base::IpAddress>::value_type;
  using SubjectHolder = Holders<std::string>::value_type;

 public:
  // 0 for no limit, but for streams_max.
  struct Options {
    uint64_t streams_max = 1000;
    uint64_t streams_per_address = 0;
    uint64_t streams_per_subject = 0;
    // With as many at once.
    uint64_t connects_per_second = 0;
  };

  // The place of one open event stream; gives it back when it goes. The limits outlive it.
  class Place {
   public:
    Place(Place&& other) noexcept { *this = std::move(other); }
    Place& operator=(Place&& other) noexcept {
      std::swap(limits_, other.limits_);
      std::swap(address_, other.address_);
      std::swap(subject_, other.subject_);
      return *this;
    }
    ~Place() {
      if (limits_ != nullptr) {
        limits_->GiveBack(*this);
      }
    }

   private:
    friend class StreamLimits;
    Place() = default;
    StreamLimits* limits_ = nullptr;
    AddressHolder* address_ = nullptr;
    SubjectHolder* subject_ = nullptr;
  };

  explicit StreamLimits(const Options& options);

  // `subject` is empty where there is none.
  std::variant<Place, PassingRefusal> Take(const ClientAddress& client, absl::string_view subject,
                                           base::MonotonicTime now = base::MonotonicClock::now());

  // The limit in all has been reached.
  bool IsFull() const { return open_.value() >= options_.streams_max; }
  uint64_t open() const { return open_.value(); }

 private:
  struct Bucket {
    double connects = 0;
    base::MonotonicTime counted_at;
  };

  void GiveBack(const Place& place);
  bool MayConnect(const base::IpAddress& address, base::MonotonicTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  double Refilled(const Bucket& bucket, base::MonotonicTime now) const;
  void Log(absl::string_view limit, const ClientAddress& client);

  const Options options_;
  base::SharedMetric open_;
  ops::LogLimiter log_limiter_;
  absl::Mutex mutex_;
  Holders<base::IpAddress> addresses_ ABSL_GUARDED_BY(mutex_);
  Holders<std::string> subjects_ ABSL_GUARDED_BY(mutex_);
  // Those that have not been idle for long enough to be full.
  absl::flat_hash_map<base::IpAddress, Bucket> buckets_ ABSL_GUARDED_BY(mutex_);
  size_t tidy_buckets_at_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bridge::http
