#include "bridge/http/stream_limits.h"

#include <algorithm>

#include "bridge/ops/logging.h"

namespace bridge::http {
namespace {

// Addresses whose connects are counted; looked through when there are so many, and then twice as many as are left.
constexpr size_t kBucketsMin = 1024;

constexpr absl::Duration kLogWindow = absl::Seconds(10);

template <typename Holders, typename Holder>
void GiveBackTo(Holder* holder, Holders* holders) {
  if (holder != nullptr && --holder->second == 0) {
    holders->erase(holder->first);
  }
}

}  // namespace

StreamLimits::StreamLimits(const Options& options)
    : options_(options), log_limiter_(kLogWindow), tidy_buckets_at_(kBucketsMin) {}

std::variant<StreamLimits::Place, PassingRefusal> StreamLimits::Take(const ClientAddress& client,
                                                                     absl::string_view subject,
                                                                     base::MonotonicTime now) {
  const bool counts_address = client.is_one_clients && options_.streams_per_address != 0;
  const bool counts_subject = !subject.empty() && options_.streams_per_subject != 0;
  const absl::MutexLock lock(&mutex_);
  if (IsFull()) {
    return PassingRefusal::kOverloaded;
  }
  if (client.is_one_clients && options_.connects_per_second != 0 && !MayConnect(client.address.Client(), now)) {
    Log("limits.connects_per_second", client);
    return PassingRefusal::kTooFast;
  }
  AddressHolder* const address = counts_address ? &*addresses_.try_emplace(client.address.Client(), 0).first : nullptr;
  if (address != nullptr && address->second >= options_.streams_per_address) {
    Log("limits.streams_per_address", client);
    return PassingRefusal::kAddressFull;
  }
  SubjectHolder* const holder = counts_subject ? &*subjects_.try_emplace(std::string(subject), 0).first : nullptr;
  if (holder != nullptr && holder->second >= options_.streams_per_subject) {
    if (address != nullptr && address->second == 0) {
      addresses_.erase(address->first);
    }
    Log("limits.streams_per_subject", client);
    return PassingRefusal::kSubjectFull;
  }
  Place place;
  place.limits_ = this;
  place.address_ = address;
  place.subject_ = holder;
  open_.Add(1);
  if (address != nullptr) {
    ++address->second;
  }
  if (holder != nullptr) {
    ++holder->second;
  }
  return place;
}

void StreamLimits::GiveBack(const Place& place) {
  open_.Sub(1);
  if (place.address_ == nullptr && place.subject_ == nullptr) {
    return;
  }
  const absl::MutexLock lock(&mutex_);
  GiveBackTo(place.address_, &addresses_);
  GiveBackTo(place.subject_, &subjects_);
}

bool StreamLimits::MayConnect(const base::IpAddress& address, base::MonotonicTime now) {
  if (buckets_.size() >= tidy_buckets_at_) {
    absl::erase_if(buckets_, [&](const auto& entry) {
      return Refilled(entry.second, now) >= static_cast<double>(options_.connects_per_second);
    });
    tidy_buckets_at_ = std::max(kBucketsMin, 2 * buckets_.size());
  }
  const Bucket full = {.connects = static_cast<double>(options_.connects_per_second), .counted_at = now};
  Bucket& bucket = buckets_.try_emplace(address, full).first->second;
  bucket = {.connects = Refilled(bucket, now), .counted_at = now};
  if (bucket.connects < 1) {
    return false;
  }
  bucket.connects -= 1;
  return true;
}

double StreamLimits::Refilled(const Bucket& bucket, base::MonotonicTime now) const {
  const auto rate = static_cast<double>(options_.connects_per_second);
  return std::min(rate, bucket.connects + std::chrono::duration<double>(now - bucket.counted_at).count() * rate);
}

void StreamLimits::Log(absl::string_view limit, const ClientAddress& client) {
  if (const auto suppressed = log_limiter_.Admit()) {
    ops::LogWarn("limit_reached",
                 {{"limit", limit}, {"address", client.address.ToString()}, {"suppressed", *suppressed}});
  }
}

}  // namespace bridge::http
