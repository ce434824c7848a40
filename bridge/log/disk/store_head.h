#pragma once

#include <cstdint>

#include "absl/status/status.h"

namespace bridge::log::disk {

// Whether an LMDB file of `file_bytes` may be mapped: both of its meta pages are such, and nothing that they count lies
// beyond its end. DATA_LOSS and what is wrong where not.
absl::Status CheckStoreHead(int fd, uint64_t file_bytes);

}  // namespace bridge::log::disk
