#include "bridge/log/position.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace bridge::log {
namespace {

constexpr char kSeparator = '-';

absl::Status NoEventId(absl::string_view text) {
  const absl::string_view start(text.data(), std::min(text.size(), kEventIdBytesMax));
  return absl::InvalidArgumentError(absl::StrCat("event id \"", absl::CHexEscape(start),
                                                 text.size() > start.size() ? "...\"" : "\"",
                                                 ": must be an epoch in lower-case hex, \"-\" and a sequence in "
                                                 "decimal, no leading zeros, as in \"18c3f00d-42\""));
}

}  // namespace

std::string EventIdOf(Position position) {
  std::array<char, kEventIdBytesMax> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): it is written to first
  char* const end = buffer.data() + buffer.size();
  char* at = std::to_chars(buffer.data(), end, position.epoch, 16).ptr;
  *at++ = kSeparator;
  at = std::to_chars(at, end, position.sequence).ptr;
  return {buffer.data(), at};
}

absl::StatusOr<Position> ParseEventId(absl::string_view text) {
  const size_t separator = text.find(kSeparator);
  if (text.size() > kEventIdBytesMax || separator == absl::string_view::npos) {
    return NoEventId(text);
  }
  Position position;
  const char* const end = text.data() + text.size();
  // What these let pass, such as leading zeros, upper case or something behind the number, does not come out again as
  // it went in.
  std::from_chars(text.data(), text.data() + separator, position.epoch, 16);
  std::from_chars(text.data() + separator + 1, end, position.sequence);
  if (EventIdOf(position) != text) {
    return NoEventId(text);
  }
  return position;
}

}  // namespace bridge::log
