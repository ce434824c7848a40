#include "tests/bench/payload.h"

#include <algorithm>
#include <charconv>

namespace bridge::bench {
namespace {

constexpr size_t kDigits = 16;

void WriteHex(uint64_t value, char* out) {
  for (size_t i = kDigits; i-- > 0; value >>= 4) out[i] = "0123456789abcdef"[value & 15];
}

bool ReadHex(std::string_view digits, uint64_t& value) {
  return std::from_chars(digits.begin(), digits.end(), value, 16).ptr == digits.end();
}

}  // namespace

std::string MakePayload(size_t bytes) {
  std::string payload(std::max(bytes, kStampBytes), ' ');
  for (size_t i = kStampBytes; i < payload.size(); ++i) payload[i] = static_cast<char>('a' + i % 26);
  return payload;
}

void WriteStamp(const Stamp& stamp, std::string& payload) {
  WriteHex(stamp.sequence, payload.data());
  WriteHex(static_cast<uint64_t>(stamp.sent_ns), payload.data() + kDigits + 1);
}

std::optional<Stamp> ReadStamp(std::string_view payload) {
  if (payload.size() < kStampBytes || payload[kDigits] != ' ' || payload[kStampBytes - 1] != ' ') return std::nullopt;
  uint64_t sequence = 0;
  uint64_t sent_ns = 0;
  if (!ReadHex(payload.substr(0, kDigits), sequence) || !ReadHex(payload.substr(kDigits + 1, kDigits), sent_ns))
    return std::nullopt;
  return Stamp{.sequence = sequence, .sent_ns = static_cast<int64_t>(sent_ns)};
}

}  // namespace bridge::bench
