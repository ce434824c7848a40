#pragma once

#include <cstdint>
#include <string>

#include <google/protobuf/duration.pb.h>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace bridge::config {

// How values are written in the configuration. The errors (INVALID_ARGUMENT) say what is wrong and what would be right,
// and go on from a value that is already named: `is no duration: ...`.

// "15s", "250ms", "1h30m": not negative, and at most google.protobuf.Duration's 10,000 years.
absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text);

// "64MiB", "512KiB", "1GiB", "2TiB" or a plain number of bytes.
absl::StatusOr<uint64_t> ParseSize(absl::string_view text);

// A whole number from 0 to `max`, in decimal.
absl::StatusOr<uint64_t> ParseCount(absl::string_view text, uint64_t max);

// As ParseSize reads it, in the largest unit that leaves a whole number: "64MiB".
std::string FormatSize(uint64_t bytes);

absl::Duration FromProto(const google::protobuf::Duration& duration);
// REQUIRES: `duration` is what ParseDuration returned.
google::protobuf::Duration ToProto(absl::Duration duration);

}  // namespace bridge::config
