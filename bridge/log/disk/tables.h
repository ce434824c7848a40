#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "bridge/log/disk/lmdb.h"
#include "bridge/log/v1/store.pb.h"

namespace bridge::log::disk {

// A store's tables (what is in them: format.h). All commits are synced.
struct Tables {
  Env env;
  MDB_dbi records = 0;
  MDB_dbi keys = 0;
  MDB_dbi state = 0;
  size_t page_bytes = 0;
};

// Makes a store in a new file with empty tables and this state; it is on the disk then.
absl::Status CreateTables(const std::string& file, const v1::StoreState& state);

// REQUIRES: CheckStoreHead says OK of it.
absl::StatusOr<Tables> OpenTables(const std::string& file, uint64_t map_bytes);

// DATA_LOSS: it is damaged; FAILED_PRECONDITION: the store has a newer format than this program knows.
absl::StatusOr<v1::StoreState> ReadState(MDB_txn* txn, const Tables& tables);
absl::Status WriteState(MDB_txn* txn, const Tables& tables, const v1::StoreState& state);

}  // namespace bridge::log::disk
