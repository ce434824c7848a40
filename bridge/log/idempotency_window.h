#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "absl/container/flat_hash_set.h"

#include "bridge/base/clock.h"
#include "bridge/log/fingerprint.h"
#include "bridge/log/record.h"

namespace bridge::log {

// The idempotency keys of a log's latest records, by which it tells repeats. The scope of a key is publisher and topic.
// A key is remembered for a while from its first record on, however often it is repeated, and only while it is among
// the newest ones.
//
// About 45 bytes a key. Not thread-safe.
class IdempotencyWindow {
 public:
  struct Limits {
    base::MonotonicClock::duration age_max = {};
    // At most 2^31; with 0 nothing is remembered.
    size_t keys_max = 0;
  };

  explicit IdempotencyWindow(const Limits& limits, const Fingerprinter::Key& key = Fingerprinter::RandomKey());
  IdempotencyWindow(const IdempotencyWindow&) = delete;
  IdempotencyWindow& operator=(const IdempotencyWindow&) = delete;

  // The sequence of the first record with this one's publisher, topic and key. Where none is remembered, remembers it
  // with `sequence`. REQUIRES: the record has a key; `now` is not before that of the last call.
  std::optional<uint64_t> FindOrRemember(const Record& record, uint64_t sequence, base::MonotonicTime now) {
    return FindOrRemember(FingerprintOf(record), sequence, now);
  }

  // The same for a log that stores fingerprints, which are those of the key that the window was made with.
  Fingerprint FingerprintOf(const Record& record) { return fingerprinter_.Of(record); }
  std::optional<uint64_t> FindOrRemember(const Fingerprint& fingerprint, uint64_t sequence, base::MonotonicTime now);

  // Forgets the keys remembered with `sequence` or a later one, whose records were not appended after all.
  void ForgetFrom(uint64_t sequence);

  // Gives back the memory of keys that are too old to count, at most `count_max` of them.
  void DropOld(base::MonotonicTime now, size_t count_max);

  size_t size() const { return seen_.size(); }

  // The keys that were forgotten for want of room before their time.
  uint64_t evicted_total() const { return evicted_total_; }

 private:
  struct Seen {
    Fingerprint fingerprint;
    uint64_t sequence = 0;
    base::MonotonicTime at;
  };

  // Keys are numbered from the first one ever, modulo 2^32. A number stands for its key's fingerprint in the set.
  using Number = uint32_t;
  struct Hash {
    using is_transparent = void;
    size_t operator()(const Fingerprint& fingerprint) const { return fingerprint.low; }
    size_t operator()(Number number) const { return window->At(number).fingerprint.low; }
    const IdempotencyWindow* window;
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(Number a, Number b) const { return a == b; }
    bool operator()(Number number, const Fingerprint& fingerprint) const {
      return window->At(number).fingerprint == fingerprint;
    }
    bool operator()(const Fingerprint& fingerprint, Number number) const { return (*this)(number, fingerprint); }
    const IdempotencyWindow* window;
  };

  const Seen& At(Number number) const { return seen_[number - first_number_]; }
  bool IsOld(const Seen& seen, base::MonotonicTime now) const { return now - seen.at >= limits_.age_max; }
  void DropFirst();

  const Limits limits_;
  Fingerprinter fingerprinter_;
  // Oldest first.
  std::deque<Seen> seen_;
  Number first_number_ = 0;
  absl::flat_hash_set<Number, Hash, Equal> numbers_;
  uint64_t evicted_total_ = 0;
};

}  // namespace bridge::log
