#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bridge::bench {

// What every payload of the benchmark begins with: "<sequence> <sent_ns> ", both as 16 hexadecimal digits.
struct Stamp {
  uint64_t sequence = 0;  // of this event on its topic, from 1 without holes
  int64_t sent_ns = 0;    // when it was handed to the publisher's library, by NowNs()
};

inline constexpr size_t kStampBytes = 34;

// A payload of `bytes` (at least kStampBytes) printable characters without line ends, stamp not yet written.
std::string MakePayload(size_t bytes);

// REQUIRES: payload.size() >= kStampBytes.
void WriteStamp(const Stamp& stamp, std::string& payload);

// Nothing where the text does not begin with a stamp.
std::optional<Stamp> ReadStamp(std::string_view payload);

}  // namespace bridge::bench
