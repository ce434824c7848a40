#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace bridge::log::disk {

// A kept record on its way to the store.
struct StoredRecord {
  uint64_t sequence = 0;
  // As in the tables (format.h); `key` is empty where the record has none.
  std::string value = {};
  std::string key = {};
};

// Records with growing sequences, which are written together.
struct Batch {
  std::vector<StoredRecord> records;
  // Of values and keys.
  size_t bytes = 0;
};
using BatchPtr = std::shared_ptr<const Batch>;

}  // namespace bridge::log::disk
