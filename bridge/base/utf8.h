#pragma once

#include <algorithm>
#include <cstddef>

#include "absl/strings/string_view.h"

namespace bridge::base {

// The bytes of the well-formed UTF-8 sequence (Unicode §3.9, table 3-7) that `text` begins with; 0 where it begins with
// none.
constexpr size_t Utf8SequenceBytes(absl::string_view text) {
  const auto byte = [&](size_t at) { return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U; };
  const auto is_tail = [&](size_t at, unsigned low = 0x80, unsigned high = 0xBF) {
    return byte(at) >= low && byte(at) <= high;
  };
  const unsigned lead = byte(0);
  if (lead < 0x80) {
    return std::min<size_t>(text.size(), 1);
  }
  if (lead >= 0xC2 && lead <= 0xDF) {
    return is_tail(1) ? 2 : 0;
  }
  if ((lead & 0xF0) == 0xE0) {  // neither overlong nor a surrogate
    return is_tail(1, lead == 0xE0 ? 0xA0 : 0x80, lead == 0xED ? 0x9F : 0xBF) && is_tail(2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {  // neither overlong nor above U+10FFFF
    return is_tail(1, lead == 0xF0 ? 0x90 : 0x80, lead == 0xF4 ? 0x8F : 0xBF) && is_tail(2) && is_tail(3) ? 4 : 0;
  }
  return 0;
}

constexpr bool IsUtf8(absl::string_view text) {
  while (!text.empty()) {
    const size_t bytes = Utf8SequenceBytes(text);
    if (bytes == 0) {
      return false;
    }
    text.remove_prefix(bytes);
  }
  return true;
}

}  // namespace bridge::base
