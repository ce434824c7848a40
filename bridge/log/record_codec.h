#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "bridge/log/record.h"
#include "bridge/log/v1/record.pb.h"

// Records as durable logs store them (proto/bridge/log/v1/record.proto).
namespace bridge::log {

// Encodes kept records, and keeps memory from one to the next. Not thread-safe.
class RecordEncoder {
 public:
  // Appends the record's bytes.
  void Encode(const Record& record, std::string* out);

 private:
  v1::Record stored_;
};

// The bytes of a kept record. Thread-safe, as the next one.
std::string EncodeRecord(const Record& record);

// The record of `bytes`, not ephemeral. DATA_LOSS: they are no record; UNIMPLEMENTED: one of a newer format than this
// program knows.
absl::StatusOr<Record> DecodeRecord(absl::string_view bytes);

}  // namespace bridge::log
