#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "bridge/log/record.h"

namespace bridge::log {

// Records as durable logs store them (proto/bridge/log/v1/record.proto). Thread-safe.

// The bytes of a kept record, with room for so many behind them.
std::string EncodeRecord(const Record& record, size_t spare_bytes = 0);

// The record of `bytes`, not ephemeral. DATA_LOSS: they are no record; UNIMPLEMENTED: one of a newer format than this
// program knows.
absl::StatusOr<Record> DecodeRecord(absl::string_view bytes);

}  // namespace bridge::log
