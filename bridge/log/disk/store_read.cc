#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

#include "bridge/base/status_macros.h"
#include "bridge/log/disk/store.h"
#include "bridge/log/position.h"

namespace bridge::log::disk {
namespace {

// A page of one pattern looks at no more than these: a transaction keeps the pages from being used again while it runs.
constexpr size_t kRecordsScannedMax = 16'384;
constexpr size_t kBytesScannedMax = size_t{8} << 20;

// Puts a page together from the records in their order.
class PageBuilder {
 public:
  PageBuilder(const EventLog::ReadOptions* options, const LogClock* clock) : options_(*options), clock_(*clock) {
    page_.read_to = options_.after;
  }

  // False: the page ends before this record.
  bool Add(uint64_t sequence, absl::string_view value) {
    ++records_;
    if (records_ > kRecordsScannedMax || (records_ > 1 && bytes_scanned_ + value.size() > kBytesScannedMax)) {
      return false;
    }
    bytes_scanned_ += value.size();
    absl::StatusOr<TimedRecord> opened = OpenRecord(sequence, value);
    const bool is_whole = opened.ok() && sequence == page_.read_to.sequence + 1;
    if (!is_whole && !is_at_start_) {
      return false;  // the next page begins with what is damaged or missing
    }
    if (opened.ok() && (!options_.pattern || options_.pattern->Matches(opened->record.topic))) {
      Record& record = opened->record;
      bytes_ += record.topic.size() + record.type.size() + record.data.size();
      if (!page_.entries.empty() && (page_.entries.size() >= options_.entries_max || bytes_ > options_.bytes_max)) {
        return false;
      }
      page_.entries.push_back(
          {.sequence = sequence, .record = std::move(record), .received = clock_.MonotonicAt(opened->time)});
    }
    // One that is damaged, or missing before this one.
    if (const uint64_t unreadable = sequence - page_.read_to.sequence - (opened.ok() ? 1 : 0); unreadable > 0) {
      unreadable_ += unreadable;
      page_.damaged_to = page_.read_to.sequence + unreadable;
    }
    page_.read_to.sequence = sequence;
    is_at_start_ = is_at_start_ && !opened.ok();
    return true;
  }

  uint64_t read_to() const { return page_.read_to.sequence; }
  uint64_t unreadable() const { return unreadable_; }

  Page Finish() && { return std::move(page_); }

 private:
  const EventLog::ReadOptions& options_;
  const LogClock& clock_;
  Page page_;
  size_t records_ = 0;
  size_t bytes_scanned_ = 0;
  size_t bytes_ = 0;
  uint64_t unreadable_ = 0;
  // No readable record has been looked at.
  bool is_at_start_ = true;
};

}  // namespace

absl::StatusOr<Page> Store::Read(const EventLog::ReadOptions& options, absl::Span<const BatchPtr> unwritten) {
  ASSIGN_OR_RETURN(const Txn txn, Begin(tables_.env.get(), MDB_RDONLY));
  ASSIGN_OR_RETURN(const v1::StoreState state, ReadState(txn.get(), tables_));
  const uint64_t newest = std::max(state.newest_sequence(), unwritten.empty() ? 0 : unwritten.back()->last_sequence());
  if (options.after.epoch != epoch_) {
    return absl::NotFoundError(absl::StrCat("event id ", EventIdOf(options.after),
                                            " is of another epoch; this log has ",
                                            EventIdOf({.epoch = epoch_, .sequence = newest}), " last"));
  }
  if (options.after.sequence >= newest) {
    return Page{.entries = {}, .read_to = options.after};
  }
  ASSIGN_OR_RETURN(const Cursor cursor, OpenCursor(txn.get(), tables_.records));
  absl::StatusOr<Item> item = Get(cursor.get(), MDB_FIRST);
  const uint64_t oldest = item.ok() ? item->sequence : state.newest_sequence() + 1;
  if (options.after.sequence + 1 < oldest) {
    return absl::OutOfRangeError(absl::StrCat("events after ", EventIdOf(options.after),
                                              " have been trimmed; the oldest is ",
                                              EventIdOf({.epoch = epoch_, .sequence = oldest})));
  }

  PageBuilder page(&options, &clock_);
  bool is_full = false;
  item = Get(cursor.get(), MDB_SET_RANGE, options.after.sequence + 1);
  for (; item.ok() && !is_full; item = Get(cursor.get(), MDB_NEXT)) {
    is_full = !page.Add(item->sequence, item->value);
  }
  if (!is_full && !absl::IsNotFound(item.status())) {
    return item.status();
  }
  for (const BatchPtr& batch : unwritten) {
    for (size_t i = 0; i < batch->size(); ++i) {
      if (const StoredRecord record = (*batch)[i]; !is_full && record.sequence > page.read_to()) {
        is_full = !page.Add(record.sequence, record.value);
      }
    }
  }
  unreadable_total_.fetch_add(page.unreadable(), std::memory_order_relaxed);
  return std::move(page).Finish();
}

absl::StatusOr<uint64_t> Store::TailStart(const EventLog::Tail& tail) const {
  ASSIGN_OR_RETURN(const Txn txn, Begin(tables_.env.get(), MDB_RDONLY));
  ASSIGN_OR_RETURN(const v1::StoreState state, ReadState(txn.get(), tables_));
  ASSIGN_OR_RETURN(const Cursor cursor, OpenCursor(txn.get(), tables_.records));
  uint64_t start = state.newest_sequence();
  size_t bytes = 0;
  absl::StatusOr<Item> item = Get(cursor.get(), MDB_LAST);
  for (size_t events = 0; events < tail.events_max && item.ok(); ++events, item = Get(cursor.get(), MDB_PREV)) {
    bytes += item->value.size();
    if (bytes > tail.bytes_max) {
      break;
    }
    start = item->sequence - 1;
  }
  if (!item.ok() && !absl::IsNotFound(item.status())) {
    return item.status();
  }
  return start;
}

absl::Status Store::ForEachKey(absl::FunctionRef<void(uint64_t sequence, const TimedKey& key)> use) {
  ASSIGN_OR_RETURN(const Txn txn, Begin(tables_.env.get(), MDB_RDONLY));
  ASSIGN_OR_RETURN(const Cursor cursor, OpenCursor(txn.get(), tables_.keys));
  absl::StatusOr<Item> item = Get(cursor.get(), MDB_FIRST);
  for (; item.ok(); item = Get(cursor.get(), MDB_NEXT)) {
    if (const absl::StatusOr<TimedKey> key = OpenKey(item->sequence, item->value); key.ok()) {
      use(item->sequence, *key);
    } else {
      unreadable_total_.fetch_add(1, std::memory_order_relaxed);
    }
  }
  return absl::IsNotFound(item.status()) ? absl::OkStatus() : item.status();
}

}  // namespace bridge::log::disk
