#include "bridge/log/disk/tables.h"

#include <cerrno>
#include <fcntl.h>
#include <utility>

#include "absl/strings/str_cat.h"

#include "bridge/base/status_macros.h"
#include "bridge/log/disk/files.h"
#include "bridge/log/disk/format.h"

namespace bridge::log::disk {
namespace {

constexpr uint32_t kVersion = 1;

constexpr mdb_mode_t kFileMode = 0600;
constexpr MDB_dbi kTablesMax = 3;

// Room for a new store's few pages.
constexpr uint64_t kNewMapBytes = uint64_t{1} << 20;

// More than LMDB's table of readers takes: it writes to it by a map, which kills the process where the disk is full.
constexpr off_t kReadersBytes = 16 << 10;

absl::Status ReserveReaders(const std::string& file) {
  const std::string path = file + "-lock";
  const Descriptor readers(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kFileMode));
  if (!readers.is_open()) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  }
  if (const int error = posix_fallocate(readers.get(), 0, kReadersBytes); error != 0) {
    return absl::ErrnoToStatus(error, absl::StrCat("no room for ", path));
  }
  return absl::OkStatus();
}

absl::StatusOr<MDB_dbi> OpenTable(MDB_txn* txn, const char* name, unsigned flags) {
  MDB_dbi table = 0;
  RETURN_IF_ERROR(LmdbStatus(mdb_dbi_open(txn, name, flags | MDB_INTEGERKEY, &table), absl::StrCat("table ", name)));
  return table;
}

// `flags`: of mdb_env_open; `table_flags`: of mdb_dbi_open.
absl::StatusOr<Tables> Open(const std::string& file, uint64_t map_bytes, unsigned flags, unsigned table_flags) {
  MDB_env* env = nullptr;
  RETURN_IF_ERROR(LmdbStatus(mdb_env_create(&env), "mdb_env_create"));
  Tables tables{.env = Env(env)};
  RETURN_IF_ERROR(LmdbStatus(mdb_env_set_maxdbs(env, kTablesMax), "mdb_env_set_maxdbs"));
  RETURN_IF_ERROR(LmdbStatus(mdb_env_set_mapsize(env, map_bytes), absl::StrCat("a map of ", map_bytes, " bytes")));
  RETURN_IF_ERROR(LmdbStatus(mdb_env_open(env, file.c_str(), flags | MDB_NOSUBDIR | MDB_NOTLS, kFileMode),
                             absl::StrCat("cannot open ", file, " with an address space of ", map_bytes, " bytes")));
  MDB_stat stat = {};
  RETURN_IF_ERROR(LmdbStatus(mdb_env_stat(env, &stat), "mdb_env_stat"));
  tables.page_bytes = stat.ms_psize;

  ASSIGN_OR_RETURN(Txn txn, Begin(env, 0));
  ASSIGN_OR_RETURN(tables.records, OpenTable(txn.get(), "records", table_flags));
  ASSIGN_OR_RETURN(tables.keys, OpenTable(txn.get(), "keys", table_flags));
  ASSIGN_OR_RETURN(tables.state, OpenTable(txn.get(), "state", table_flags));
  RETURN_IF_ERROR(Commit(std::move(txn)));
  return tables;
}

}  // namespace

absl::Status CreateTables(const std::string& file, const v1::StoreState& state) {
  ASSIGN_OR_RETURN(const Tables tables, Open(file, kNewMapBytes, MDB_NOLOCK, MDB_CREATE));
  ASSIGN_OR_RETURN(Txn txn, Begin(tables.env.get(), 0));
  RETURN_IF_ERROR(WriteState(txn.get(), tables, state));
  return Commit(std::move(txn));
}

absl::StatusOr<Tables> OpenTables(const std::string& file, uint64_t map_bytes) {
  RETURN_IF_ERROR(ReserveReaders(file));
  return Open(file, map_bytes, 0, 0);
}

absl::StatusOr<v1::StoreState> ReadState(MDB_txn* txn, const Tables& tables) {
  ASSIGN_OR_RETURN(const Cursor cursor, OpenCursor(txn, tables.state));
  ASSIGN_OR_RETURN(const Item item, Get(cursor.get(), MDB_FIRST));
  ASSIGN_OR_RETURN(const absl::string_view bytes, OpenState(item.value));
  v1::StoreState state;
  if (!state.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) || state.version() == 0) {
    return absl::DataLossError("the state of the log is none");
  }
  if (state.version() > kVersion) {
    return absl::FailedPreconditionError(absl::StrCat("it has format ", state.version(), ", and this program knows ",
                                                      kVersion, ": it was written by a newer one, use that"));
  }
  return state;
}

absl::Status WriteState(MDB_txn* txn, const Tables& tables, const v1::StoreState& state) {
  v1::StoreState stored = state;
  stored.set_version(kVersion);
  return Put(txn, tables.state, {.sequence = 0, .value = SealState(stored.SerializeAsString())}, 0);
}

}  // namespace bridge::log::disk
