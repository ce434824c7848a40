#include "bridge/config/value_syntax.h"

#include <array>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace bridge::config {
namespace {

// The largest google.protobuf.Duration there is.
constexpr absl::Duration kDurationMax = absl::Seconds(315'576'000'000);

struct SizeUnit {
  absl::string_view name;
  uint64_t bytes = 1;
};
constexpr std::array kSizeUnits = {SizeUnit{"TiB", uint64_t{1} << 40}, SizeUnit{"GiB", uint64_t{1} << 30},
                                   SizeUnit{"MiB", uint64_t{1} << 20}, SizeUnit{"KiB", uint64_t{1} << 10}};

size_t LeadingDigits(absl::string_view text) {
  size_t digits = 0;
  while (digits < text.size() && absl::ascii_isdigit(static_cast<unsigned char>(text[digits]))) {
    ++digits;
  }
  return digits;
}

}  // namespace

absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text) {
  constexpr absl::string_view kExamples = "durations are written as 15s, 250ms, 2m, 1h or 1h30m";
  absl::Duration duration;
  if (!text.empty() && LeadingDigits(text) == text.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("is no duration: add a unit, as in ", text.substr(0, 20), "s; ", kExamples));
  }
  if (text.empty() || !(absl::ascii_isdigit(static_cast<unsigned char>(text[0])) || text[0] == '.' || text[0] == '-') ||
      !absl::ParseDuration(text, &duration)) {
    return absl::InvalidArgumentError(absl::StrCat("is no duration: ", kExamples));
  }
  if (text[0] == '-') {
    return absl::InvalidArgumentError("is negative: a duration is 0s or longer");
  }
  if (duration > kDurationMax) {
    return absl::InvalidArgumentError("is too long: a duration is at most 87660000h");
  }
  return duration;
}

absl::StatusOr<uint64_t> ParseSize(absl::string_view text) {
  constexpr absl::string_view kExamples = "sizes are written as 64MiB, 512KiB, 1GiB or a whole number of bytes";
  const size_t digits = LeadingDigits(text);
  const absl::string_view unit = text.substr(digits);
  uint64_t scale = 1;
  if (!unit.empty()) {
    scale = 0;
    for (const SizeUnit& known : kSizeUnits) {
      scale = unit == known.name ? known.bytes : scale;
    }
  }
  if (digits == 0 || scale == 0) {
    return absl::InvalidArgumentError(absl::StrCat("is no size: ", kExamples));
  }
  uint64_t count = 0;
  if (!absl::SimpleAtoi(text.substr(0, digits), &count) || count > std::numeric_limits<uint64_t>::max() / scale) {
    return absl::InvalidArgumentError("is too large: a size is below 16777216TiB");
  }
  return count * scale;
}

absl::StatusOr<uint64_t> ParseCount(absl::string_view text, uint64_t max) {
  if (text.empty() || LeadingDigits(text) != text.size()) {
    return absl::InvalidArgumentError("is no whole number: digits only, as in 1000");
  }
  uint64_t count = 0;
  if (!absl::SimpleAtoi(text, &count) || count > max) {
    return absl::InvalidArgumentError(absl::StrCat("is too large: the largest value is ", max));
  }
  return count;
}

std::string FormatSize(uint64_t bytes) {
  for (const SizeUnit& unit : kSizeUnits) {
    if (bytes != 0 && bytes % unit.bytes == 0) {
      return absl::StrCat(bytes / unit.bytes, unit.name);
    }
  }
  return absl::StrCat(bytes);
}

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

google::protobuf::Duration ToProto(absl::Duration duration) {
  google::protobuf::Duration proto;
  proto.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  proto.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration)));
  return proto;
}

}  // namespace bridge::config
