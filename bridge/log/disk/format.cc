#include "bridge/log/disk/format.h"

#include <cstring>
#include <utility>
#include <xxhash.h>

#include "absl/strings/str_cat.h"

#include "bridge/base/status_macros.h"

namespace bridge::log::disk {
namespace {

using Checksum = uint64_t;
using StoredTime = int64_t;

template <typename T>
void AppendRaw(const T& value, std::string* out) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

// REQUIRES: `bytes` has as many.
template <typename T>
T RawAt(absl::string_view bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

Checksum ChecksumOf(uint64_t sequence, absl::string_view bytes) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), sequence);
}

void AppendChecksum(uint64_t sequence, std::string* value) { AppendRaw(ChecksumOf(sequence, *value), value); }

absl::StatusOr<absl::string_view> Open(uint64_t sequence, absl::string_view value) {
  if (value.size() >= sizeof(Checksum)) {
    const absl::string_view content = value.substr(0, value.size() - sizeof(Checksum));
    if (RawAt<Checksum>(value, content.size()) == ChecksumOf(sequence, content)) {
      return content;
    }
  }
  return absl::DataLossError(absl::StrCat("the value of sequence ", sequence, " is damaged"));
}

// What is sealed with a time, without it.
absl::StatusOr<absl::string_view> OpenTimed(uint64_t sequence, absl::string_view value) {
  ASSIGN_OR_RETURN(const absl::string_view content, Open(sequence, value));
  if (content.size() < sizeof(StoredTime)) {
    return absl::DataLossError(absl::StrCat("the value of sequence ", sequence, " has no time"));
  }
  return content.substr(0, content.size() - sizeof(StoredTime));
}

}  // namespace

absl::string_view Sealer::Seal(uint64_t sequence, const Record& record, LogClock::Time time) {
  record_.clear();
  encoder_.Encode(record, &record_);
  AppendRaw(StoredTime{time.count()}, &record_);
  AppendChecksum(sequence, &record_);
  return record_;
}

absl::string_view Sealer::Seal(uint64_t sequence, const Fingerprint& fingerprint, LogClock::Time time) {
  key_.clear();
  AppendRaw(fingerprint, &key_);
  AppendRaw(StoredTime{time.count()}, &key_);
  AppendChecksum(sequence, &key_);
  return key_;
}

std::string SealState(std::string state) {
  AppendChecksum(0, &state);
  return state;
}

absl::StatusOr<absl::string_view> OpenState(absl::string_view value) { return Open(0, value); }

absl::StatusOr<TimedKey> OpenKey(uint64_t sequence, absl::string_view value) {
  ASSIGN_OR_RETURN(const absl::string_view bytes, OpenTimed(sequence, value));
  if (bytes.size() != sizeof(Fingerprint)) {
    return absl::DataLossError(absl::StrCat("the key of sequence ", sequence, " is none"));
  }
  return TimedKey{.fingerprint = RawAt<Fingerprint>(bytes, 0), .time = PeekTime(value)};
}

absl::StatusOr<TimedRecord> OpenRecord(uint64_t sequence, absl::string_view value) {
  ASSIGN_OR_RETURN(const absl::string_view bytes, OpenTimed(sequence, value));
  ASSIGN_OR_RETURN(Record record, DecodeRecord(bytes));
  return TimedRecord{.record = std::move(record), .time = PeekTime(value)};
}

LogClock::Time PeekTime(absl::string_view value) {
  constexpr size_t kSize = sizeof(StoredTime) + sizeof(Checksum);
  return LogClock::Time(value.size() < kSize ? 0 : RawAt<StoredTime>(value, value.size() - kSize));
}

}  // namespace bridge::log::disk
