#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "bridge/log/record.h"

struct evp_mac_ctx_st;

namespace bridge::log {

// Stands for a record's publisher, topic and idempotency key, which take up to some hundred bytes.
struct Fingerprint {
  uint64_t high = 0;
  uint64_t low = 0;

  friend bool operator==(const Fingerprint&, const Fingerprint&) = default;
};

// Takes fingerprints: SipHash with 128 bits and a random key.
//
// Two that are equal mean equal publishers, topics and keys: among a million, two would be equal by chance once in
// 10^26 times; and since nobody outside can know the key, nobody can search for two, to have another publisher's event
// taken for a repeat.
//
// Not thread-safe.
class Fingerprinter {
 public:
  using Key = std::array<unsigned char, 16>;
  static Key RandomKey();

  explicit Fingerprinter(const Key& key = RandomKey());
  ~Fingerprinter();
  Fingerprinter(const Fingerprinter&) = delete;
  Fingerprinter& operator=(const Fingerprinter&) = delete;

  Fingerprint Of(const Record& record);

 private:
  struct Free {
    void operator()(evp_mac_ctx_st* context) const;
  };

  const Key key_;
  std::unique_ptr<evp_mac_ctx_st, Free> context_;
  // What is hashed, kept for its memory.
  std::string scratch_;
};

}  // namespace bridge::log
