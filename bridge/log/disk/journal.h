#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "bridge/log/disk/batch.h"
#include "bridge/log/disk/files.h"
#include "bridge/log/position.h"

namespace bridge::log::disk {

// Holds batches that are acked before they are written to the store, so that they outlive the process; not the machine,
// for it is never synced. Two files in turn: one is added to while what the other holds is written.
//
// Not thread-safe.
class Journal {
 public:
  // Opens the files in `directory`, or makes them.
  static absl::StatusOr<Journal> Open(const std::string& directory);

  // The records of its epoch that come after `newest`, up to the first that is damaged or missing.
  absl::StatusOr<Batch> RecordsAfter(Position newest) const;

  // Where it fails, the batch is not there. RESOURCE_EXHAUSTED: there is no room.
  absl::Status Add(uint64_t epoch, const Batch& batch);

  // What has been added is about to be written to the store: what comes now goes into the other file, if that is empty.
  void TurnOver();
  enum class Written {
    // What the file holds that is not added to now.
    kOther,
    // What has been added at all.
    kAll,
  };
  // It is in the store.
  absl::Status Drop(Written written);

 private:
  struct File {
    Descriptor descriptor;
    // Of what is not dropped. What stands behind is in the store already.
    uint64_t bytes = 0;
  };

  Journal() = default;
  static absl::Status Empty(File* file);

  std::array<File, 2> files_;
  // That which is added to.
  size_t current_ = 0;
};

}  // namespace bridge::log::disk
