#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bridge::log {

// Where a record stands in the log. The epoch changes when a log starts anew; sequences grow within an epoch, from 1. A
// position with sequence 0 is the one before the first record.
struct Position {
  uint64_t epoch = 0;
  uint64_t sequence = 0;

  friend bool operator==(const Position&, const Position&) = default;
};

// An event id is a position as text: the epoch in lower-case hex, "-", the sequence in decimal, no leading zeros:
// "18c3f00d-42". Clients take it as opaque.
std::string EventIdOf(Position position);

// The longest event id there is, in bytes.
inline constexpr size_t kEventIdBytesMax = 16 + 1 + 20;

// INVALID_ARGUMENT where `text` is not exactly what EventIdOf returns for some position.
absl::StatusOr<Position> ParseEventId(absl::string_view text);

}  // namespace bridge::log
