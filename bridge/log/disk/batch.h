#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace bridge::log::disk {

// A kept record on its way to the store.
struct StoredRecord {
  uint64_t sequence = 0;
  // As in the tables (format.h); `key` is empty where the record has none.
  absl::string_view value;
  absl::string_view key;
};

// Records with growing sequences, which are written together. Their bytes stand in one piece of memory: to allocate
// each on one thread and to free it on another costs more than to encode it.
class Batch {
 public:
  // Where a record is in bytes(): its value, and behind that its key.
  struct Place {
    uint64_t sequence = 0;
    uint64_t at = 0;
    uint32_t value_bytes = 0;
    uint32_t key_bytes = 0;
  };

  void Add(const StoredRecord& record) {
    places_.push_back({.sequence = record.sequence,
                       .at = bytes_.size(),
                       .value_bytes = static_cast<uint32_t>(record.value.size()),
                       .key_bytes = static_cast<uint32_t>(record.key.size())});
    bytes_.append(record.value.data(), record.value.size());
    bytes_.append(record.key.data(), record.key.size());
  }

  bool empty() const { return places_.empty(); }
  size_t size() const { return places_.size(); }
  // REQUIRES: index < size(). Valid until a record is added.
  StoredRecord operator[](size_t index) const { return In(bytes_, places_[index]); }
  // REQUIRES: it is not empty.
  uint64_t last_sequence() const { return places_.back().sequence; }

  const std::vector<Place>& places() const { return places_; }
  // Of values and keys.
  const std::string& bytes() const { return bytes_; }

  // REQUIRES: `bytes` has what stands at `place`.
  static StoredRecord In(absl::string_view bytes, const Place& place) {
    return {.sequence = place.sequence,
            .value = bytes.substr(place.at, place.value_bytes),
            .key = bytes.substr(place.at + place.value_bytes, place.key_bytes)};
  }

 private:
  std::vector<Place> places_;
  std::string bytes_;
};
using BatchPtr = std::shared_ptr<const Batch>;

}  // namespace bridge::log::disk
