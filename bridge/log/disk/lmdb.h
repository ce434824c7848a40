#pragma once

#include <cstdint>
#include <cstring>
#include <lmdb.h>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// LMDB's handles as objects, and its errors as Status.
namespace bridge::log::disk {

struct Closer {
  void operator()(MDB_env* env) const { mdb_env_close(env); }
  void operator()(MDB_txn* txn) const { mdb_txn_abort(txn); }
  void operator()(MDB_cursor* cursor) const { mdb_cursor_close(cursor); }
};
using Env = std::unique_ptr<MDB_env, Closer>;
using Txn = std::unique_ptr<MDB_txn, Closer>;
// Ends before its transaction.
using Cursor = std::unique_ptr<MDB_cursor, Closer>;

// OK for 0. RESOURCE_EXHAUSTED: there is no room, on the disk or in the map; INTERNAL: anything else.
absl::Status LmdbStatus(int error, absl::string_view what);

// `flags` of mdb_txn_begin.
absl::StatusOr<Txn> Begin(MDB_env* env, unsigned flags);
absl::Status Commit(Txn txn);
absl::StatusOr<Cursor> OpenCursor(MDB_txn* txn, MDB_dbi table);

// An entry of a table whose keys are sequences (MDB_INTEGERKEY). The value lives as long as the transaction, or until
// this one writes.
struct Item {
  uint64_t sequence = 0;
  absl::string_view value;
};
// The item that `operation` leads to, from `sequence` where it wants a key; NOT_FOUND: there is none.
absl::StatusOr<Item> Get(MDB_cursor* cursor, MDB_cursor_op operation, uint64_t sequence = 0);
absl::Status Put(MDB_txn* txn, MDB_dbi table, const Item& item, unsigned flags);

absl::StatusOr<size_t> CountOf(MDB_txn* txn, MDB_dbi table);

}  // namespace bridge::log::disk
