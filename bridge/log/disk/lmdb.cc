#include "bridge/log/disk/lmdb.h"

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"

namespace bridge::log::disk {
namespace {

bool IsWantOfRoom(int error) {
  return error == ENOSPC || error == EDQUOT || error == EFBIG || error == MDB_MAP_FULL || error == MDB_TXN_FULL;
}

}  // namespace

absl::Status LmdbStatus(int error, absl::string_view what) {
  if (error == MDB_SUCCESS) {
    return absl::OkStatus();
  }
  if (error == MDB_NOTFOUND) {
    return absl::NotFoundError(what);
  }
  const std::string message = absl::StrCat(what, ": ", mdb_strerror(error));
  return IsWantOfRoom(error) ? absl::ResourceExhaustedError(message) : absl::InternalError(message);
}

absl::StatusOr<Txn> Begin(MDB_env* env, unsigned flags) {
  MDB_txn* txn = nullptr;
  if (const int error = mdb_txn_begin(env, nullptr, flags, &txn); error != MDB_SUCCESS) {
    return LmdbStatus(error, "mdb_txn_begin");
  }
  return Txn(txn);
}

absl::Status Commit(Txn txn) { return LmdbStatus(mdb_txn_commit(txn.release()), "mdb_txn_commit"); }

absl::StatusOr<Cursor> OpenCursor(MDB_txn* txn, MDB_dbi table) {
  MDB_cursor* cursor = nullptr;
  if (const int error = mdb_cursor_open(txn, table, &cursor); error != MDB_SUCCESS) {
    return LmdbStatus(error, "mdb_cursor_open");
  }
  return Cursor(cursor);
}

absl::StatusOr<Item> Get(MDB_cursor* cursor, MDB_cursor_op operation, uint64_t sequence) {
  MDB_val key = {.mv_size = sizeof(sequence), .mv_data = &sequence};
  MDB_val value = {};
  if (const int error = mdb_cursor_get(cursor, &key, &value, operation); error != MDB_SUCCESS) {
    return LmdbStatus(error, "mdb_cursor_get");
  }
  Item item{.value = {static_cast<const char*>(value.mv_data), value.mv_size}};
  if (key.mv_size != sizeof(item.sequence)) {
    return absl::InternalError(absl::StrCat("a key of ", key.mv_size, " bytes, which no sequence has"));
  }
  std::memcpy(&item.sequence, key.mv_data, sizeof(item.sequence));
  return item;
}

absl::Status Put(MDB_txn* txn, MDB_dbi table, const Item& item, unsigned flags) {
  uint64_t sequence = item.sequence;
  MDB_val key = {.mv_size = sizeof(sequence), .mv_data = &sequence};
  MDB_val value = {.mv_size = item.value.size(), .mv_data = const_cast<char*>(item.value.data())};
  return LmdbStatus(mdb_put(txn, table, &key, &value, flags), "mdb_put");
}

absl::StatusOr<size_t> CountOf(MDB_txn* txn, MDB_dbi table) {
  MDB_stat stat = {};
  if (const int error = mdb_stat(txn, table, &stat); error != MDB_SUCCESS) {
    return LmdbStatus(error, "mdb_stat");
  }
  return stat.ms_entries;
}

}  // namespace bridge::log::disk
