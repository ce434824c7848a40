#include "bridge/log/disk/store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "bridge/base/annotated.h"
#include "bridge/base/status_macros.h"

namespace bridge::log::disk {
namespace {

// What a record takes beside its value, about.
constexpr uint64_t kRecordOverheadBytes = 32;

// Pages are not full, those of large records up to half empty, and what was trimmed is free only two transactions
// later.
constexpr uint64_t kMapFactor = 3;
constexpr uint64_t kMapBytesPerKey = 128;
constexpr uint64_t kMapBytesMin = uint64_t{256} << 20;

// Never used by records: so that there is room to trim on a full disk.
constexpr uint64_t kTrimmingBytes = uint64_t{4} << 20;
// Of pages for a record's bytes.
constexpr uint64_t kPagesFactor = 2;

// The records and keys that are trimmed by a Write at least where there is too much; a Write of many trims twice as
// many. Ten thousand records take some 10 ms.
constexpr size_t kTrimmedMin = 1024;

constexpr MDB_dbi kFreePages = 0;

uint64_t FootprintOf(absl::string_view value) { return value.size() + kRecordOverheadBytes; }

uint64_t NewEpoch(uint64_t last) {
  return std::max(last + 1, static_cast<uint64_t>(std::max<int64_t>(0, absl::GetCurrentTimeNanos())));
}

absl::Status CreateStore(const Files& files) {
  v1::StoreState state;
  state.set_epoch(NewEpoch(0));
  const Fingerprinter::Key key = Fingerprinter::RandomKey();
  state.set_fingerprint_key(key.data(), key.size());
  RETURN_IF_ERROR(files.RemoveNewData());
  RETURN_IF_ERROR(CreateTables(files.new_data_path(), state));
  return files.NameNewData();
}

absl::StatusOr<v1::StoreState> ReadCheckedState(const Tables& tables) {
  ASSIGN_OR_RETURN(const Txn txn, Begin(tables.env.get(), MDB_RDONLY));
  ASSIGN_OR_RETURN(v1::StoreState state, ReadState(txn.get(), tables));
  ASSIGN_OR_RETURN(const Cursor cursor, OpenCursor(txn.get(), tables.records));
  if (const absl::StatusOr<Item> last = Get(cursor.get(), MDB_LAST);
      last.ok() && last->sequence > state.newest_sequence()) {
    return absl::DataLossError(
        absl::StrCat("it has a record ", last->sequence, " and counts to ", state.newest_sequence()));
  }
  if (state.fingerprint_key().size() != sizeof(Fingerprinter::Key)) {
    return absl::DataLossError("its fingerprint key has the wrong size");
  }
  return state;
}

LogClock::Mark MarkOf(const v1::StoreState& state) {
  return {.time = LogClock::Time(state.log_time_ns()),
          .since_boot = std::chrono::nanoseconds(state.since_boot_ns()),
          .boot_id = state.boot_id()};
}

void SetMark(const LogClock::Mark& mark, v1::StoreState* state) {
  state->set_log_time_ns(mark.time.count());
  state->set_since_boot_ns(mark.since_boot.count());
  state->set_boot_id(mark.boot_id);
}

// A time that is yet to come is a damaged one; such a record cannot be read in any case.
bool IsOld(LogClock::Time time, LogClock::Time now, LogClock::Time age_max) {
  return time > now || now - time >= age_max;
}

// What pages that are not in use add up to.
absl::StatusOr<uint64_t> FreeBytes(const Tables& tables) {
  ASSIGN_OR_RETURN(const Txn txn, Begin(tables.env.get(), MDB_RDONLY));
  ASSIGN_OR_RETURN(const Cursor cursor, OpenCursor(txn.get(), kFreePages));
  uint64_t pages = 0;
  absl::StatusOr<Item> item = Get(cursor.get(), MDB_FIRST);
  for (; item.ok(); item = Get(cursor.get(), MDB_NEXT)) {
    uint64_t count = 0;  // stands before the page numbers that a transaction freed
    std::memcpy(&count, item->value.data(), std::min(sizeof(count), item->value.size()));
    pages += count;
  }
  return pages * tables.page_bytes;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> Store::Open(Options options) {
  ASSIGN_OR_RETURN(std::unique_ptr<Files> files, Files::Open(options.path));
  if (!files->HasData()) {
    RETURN_IF_ERROR(CreateStore(*files));
  }
  RETURN_IF_ERROR(files->CheckData());
  RETURN_IF_ERROR(files->OpenData());
  const uint64_t map_bytes = kMapFactor * options.bytes_max + kMapBytesPerKey * options.keys_max + kMapBytesMin;
  ASSIGN_OR_RETURN(Tables tables,
                   OpenTables(files->data_path(), std::max(map_bytes, files->data_bytes() + kMapBytesMin)));
  absl::StatusOr<v1::StoreState> state = ReadCheckedState(tables);
  if (!state.ok()) {
    return base::Annotated(state.status(), absl::StrCat(files->data_path(), " cannot be used: "));
  }
  ASSIGN_OR_RETURN(Journal journal, Journal::Open(options.path));
  ASSIGN_OR_RETURN(Batch in_journal,
                   journal.RecordsAfter({.epoch = state->epoch(), .sequence = state->newest_sequence()}));
  const auto unwritten = std::make_shared<const Batch>(std::move(in_journal));
  LogClock::Time last_time = {};
  for (size_t i = 0; i < unwritten->size(); ++i) {
    const StoredRecord record = (*unwritten)[i];
    last_time = std::max({last_time, PeekTime(record.value), PeekTime(record.key)});
  }
  LogClock clock(options.clock, MarkOf(*state), last_time);
  if (state->may_lack_its_tail()) {
    state->set_epoch(NewEpoch(state->epoch()));
  }
  state->set_may_lack_its_tail(options.may_lack_its_tail);
  std::unique_ptr<Store> store(new Store(std::move(options), std::move(files), std::move(tables), std::move(journal),
                                         std::move(clock), *std::move(state)));
  RETURN_IF_ERROR(store->Write({unwritten}));
  RETURN_IF_ERROR(store->journal().Drop(Journal::Written::kAll));
  return store;
}

Store::Store(Options options, std::unique_ptr<Files> files, Tables tables, Journal journal, LogClock clock,
             v1::StoreState state)
    : options_(std::move(options)),
      files_(std::move(files)),
      tables_(std::move(tables)),
      journal_(std::move(journal)),
      clock_(std::move(clock)),
      epoch_(state.epoch()),
      state_(std::move(state)) {}

Store::~Store() = default;

Fingerprinter::Key Store::fingerprint_key() const {
  Fingerprinter::Key key = {};
  std::ranges::copy(state_.fingerprint_key(), key.begin());
  return key;
}

absl::Status Store::Write(absl::Span<const BatchPtr> batches) {
  RETURN_IF_ERROR(broken_);
  absl::Status written = TryWrite(batches);
  if (!written.ok() && !absl::IsResourceExhausted(written)) {
    broken_ = absl::InternalError(absl::StrCat("writing ", files_->data_path(), " failed: ", written.message(),
                                               "; nothing more is written until a restart"));
    return broken_;
  }
  return written;
}

absl::Status Store::TryWrite(absl::Span<const BatchPtr> batches) {
  size_t records = 0;
  uint64_t bytes = 0;
  for (const BatchPtr& batch : batches) {
    records += batch->size();
    bytes += batch->bytes().size();
  }
  if (records != 0) {
    RETURN_IF_ERROR(Reserve(bytes));
  }
  v1::StoreState state = state_;
  SetMark(clock_.MarkNow(), &state);
  ASSIGN_OR_RETURN(Txn txn, Begin(tables_.env.get(), 0));
  for (const BatchPtr& batch : batches) {
    for (size_t i = 0; i < batch->size(); ++i) {
      const StoredRecord record = (*batch)[i];
      RETURN_IF_ERROR(Put(txn.get(), tables_.records, {record.sequence, record.value}, MDB_APPEND));
      if (!record.key.empty()) {
        RETURN_IF_ERROR(Put(txn.get(), tables_.keys, {record.sequence, record.key}, MDB_APPEND));
      }
      state.set_newest_sequence(record.sequence);
      state.set_record_bytes(state.record_bytes() + FootprintOf(record.value));
    }
  }
  const size_t trimmed_max = std::max(kTrimmedMin, 2 * records);
  ASSIGN_OR_RETURN(const uint64_t oldest, TrimRecords(txn.get(), trimmed_max, &state));
  RETURN_IF_ERROR(TrimKeys(txn.get(), trimmed_max));
  RETURN_IF_ERROR(WriteState(txn.get(), tables_, state));
  RETURN_IF_ERROR(Commit(std::move(txn)));
  state_ = std::move(state);
  oldest_ = oldest != 0 ? oldest : state_.newest_sequence() + 1;
  return absl::OkStatus();
}

absl::Status Store::Reserve(uint64_t bytes) {
  MDB_envinfo info = {};
  RETURN_IF_ERROR(LmdbStatus(mdb_env_info(tables_.env.get(), &info), "mdb_env_info"));
  const uint64_t wanted = kPagesFactor * bytes + kTrimmingBytes;
  absl::Status reserved = files_->Reserve((info.me_last_pgno + 1) * tables_.page_bytes + wanted);
  if (absl::IsResourceExhausted(reserved)) {
    ASSIGN_OR_RETURN(const uint64_t free_bytes, FreeBytes(tables_));
    return free_bytes >= wanted ? absl::OkStatus() : reserved;
  }
  return reserved;
}

absl::Status Store::CheckRoom() {
  RETURN_IF_ERROR(broken_);
  return Reserve(0);
}

bool Store::HasTooMuch() const {
  if (!broken_.ok()) {
    return false;
  }
  const absl::StatusOr<Txn> txn = Begin(tables_.env.get(), MDB_RDONLY);
  const auto has_old = [&](MDB_dbi table, LogClock::Time age_max) {
    const absl::StatusOr<Cursor> cursor = OpenCursor(txn->get(), table);
    const absl::StatusOr<Item> first = cursor.ok() ? Get(cursor->get(), MDB_FIRST) : cursor.status();
    return first.ok() && IsOld(PeekTime(first->value), clock_.Now(), age_max);
  };
  return txn.ok() && (state_.record_bytes() > options_.bytes_max || has_old(tables_.records, options_.age_max) ||
                      has_old(tables_.keys, options_.key_age_max));
}

absl::StatusOr<uint64_t> Store::TrimRecords(MDB_txn* txn, size_t count_max, v1::StoreState* state) const {
  const LogClock::Time now = clock_.Now();
  ASSIGN_OR_RETURN(const Cursor cursor, OpenCursor(txn, tables_.records));
  while (true) {
    const absl::StatusOr<Item> first = Get(cursor.get(), MDB_FIRST);
    if (absl::IsNotFound(first.status())) {
      state->set_record_bytes(0);
      return 0;
    }
    RETURN_IF_ERROR(first.status());
    const bool is_too_much =
        state->record_bytes() > options_.bytes_max || IsOld(PeekTime(first->value), now, options_.age_max);
    if (!is_too_much || count_max-- == 0) {
      return first->sequence;
    }
    state->set_record_bytes(state->record_bytes() - std::min(state->record_bytes(), FootprintOf(first->value)));
    RETURN_IF_ERROR(LmdbStatus(mdb_cursor_del(cursor.get(), 0), "mdb_cursor_del"));
  }
}

absl::Status Store::TrimKeys(MDB_txn* txn, size_t count_max) const {
  const LogClock::Time now = clock_.Now();
  ASSIGN_OR_RETURN(size_t count, CountOf(txn, tables_.keys));
  ASSIGN_OR_RETURN(const Cursor cursor, OpenCursor(txn, tables_.keys));
  for (; count > 0 && count_max > 0; --count, --count_max) {
    ASSIGN_OR_RETURN(const Item first, Get(cursor.get(), MDB_FIRST));
    if (count <= options_.keys_max && !IsOld(PeekTime(first.value), now, options_.key_age_max)) {
      break;
    }
    RETURN_IF_ERROR(LmdbStatus(mdb_cursor_del(cursor.get(), 0), "mdb_cursor_del"));
  }
  return absl::OkStatus();
}

absl::Status Store::Close() {
  state_.set_may_lack_its_tail(false);
  return Write({});
}

}  // namespace bridge::log::disk
