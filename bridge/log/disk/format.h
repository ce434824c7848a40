#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "bridge/log/disk/log_clock.h"
#include "bridge/log/fingerprint.h"
#include "bridge/log/record.h"
#include "bridge/log/record_codec.h"

namespace bridge::log::disk {

// The values of the log on disk. Each ends with a checksum (XXH3, 64 bits) of itself and of the sequence that it is
// stored under, so that neither a changed value nor one in the wrong place is taken for the right one.
//
//   records: sequence -> Record (proto/bridge/log/v1/record.proto), log time, checksum
//   keys:    sequence -> fingerprint, log time, checksum
//   state:   0        -> StoreState (proto/bridge/log/v1/store.proto), checksum
//
// Numbers have the byte order of the machine. Functions are thread-safe.

// Makes the values of records and keys, and keeps memory from one to the next: each is valid until the next of its kind
// is made. Not thread-safe.
class Sealer {
 public:
  absl::string_view Seal(uint64_t sequence, const Record& record, LogClock::Time time);
  absl::string_view Seal(uint64_t sequence, const Fingerprint& fingerprint, LogClock::Time time);

 private:
  RecordEncoder encoder_;
  std::string record_;
  std::string key_;
};

std::string SealState(std::string state);

struct TimedRecord {
  Record record;
  LogClock::Time time = {};
};
struct TimedKey {
  Fingerprint fingerprint;
  LogClock::Time time = {};
};

// All: DATA_LOSS where the value is damaged.
absl::StatusOr<absl::string_view> OpenState(absl::string_view value);
absl::StatusOr<TimedKey> OpenKey(uint64_t sequence, absl::string_view value);
// UNIMPLEMENTED: a record of a newer format.
absl::StatusOr<TimedRecord> OpenRecord(uint64_t sequence, absl::string_view value);

// The log time of a record or key, whatever its checksum says.
LogClock::Time PeekTime(absl::string_view value);

}  // namespace bridge::log::disk
