#include "bridge/log/idempotency_window.h"

#include <algorithm>

namespace bridge::log {
namespace {

constexpr size_t kKeysMax = size_t{1} << 31;

}  // namespace

IdempotencyWindow::IdempotencyWindow(const Limits& limits, const Fingerprinter::Key& key)
    : limits_{.age_max = limits.age_max, .keys_max = std::min(limits.keys_max, kKeysMax)},
      fingerprinter_(key),
      numbers_(0, Hash{.window = this}, Equal{.window = this}) {}

std::optional<uint64_t> IdempotencyWindow::FindOrRemember(const Fingerprint& fingerprint, uint64_t sequence,
                                                          base::MonotonicTime now) {
  if (limits_.keys_max == 0) {
    return std::nullopt;
  }
  if (const auto found = numbers_.find(fingerprint); found != numbers_.end()) {
    const Seen& first = At(*found);
    if (!IsOld(first, now)) {
      return first.sequence;
    }
    // It stays among the seen until its turn comes, but is not found any more.
    numbers_.erase(found);
  }
  if (seen_.size() == limits_.keys_max) {
    evicted_total_ += IsOld(seen_.front(), now) ? 0U : 1U;
    DropFirst();
  }
  seen_.push_back({.fingerprint = fingerprint, .sequence = sequence, .at = now});
  numbers_.insert(static_cast<Number>(first_number_ + seen_.size() - 1));
  return std::nullopt;
}

void IdempotencyWindow::ForgetFrom(uint64_t sequence) {
  while (!seen_.empty() && seen_.back().sequence >= sequence) {
    const auto last = static_cast<Number>(first_number_ + seen_.size() - 1);
    if (const auto found = numbers_.find(seen_.back().fingerprint); found != numbers_.end() && *found == last) {
      numbers_.erase(found);
    }
    seen_.pop_back();
  }
}

void IdempotencyWindow::DropOld(base::MonotonicTime now, size_t count_max) {
  for (size_t count = 0; count < count_max && !seen_.empty() && IsOld(seen_.front(), now); ++count) {
    DropFirst();
  }
}

void IdempotencyWindow::DropFirst() {
  if (const auto found = numbers_.find(seen_.front().fingerprint); found != numbers_.end() && *found == first_number_) {
    numbers_.erase(found);
  }
  seen_.pop_front();
  ++first_number_;
  if (seen_.empty()) {
    numbers_.rehash(0);
  }
}

}  // namespace bridge::log
