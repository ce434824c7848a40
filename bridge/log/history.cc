#include "bridge/log/history.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "bridge/log/position.h"

namespace bridge::log {
namespace {

size_t ReadBytesOf(const Record& record) { return record.topic.size() + record.type.size() + record.data.size(); }

size_t FootprintBytesOf(const Record& record) {
  return sizeof(Entry) + ReadBytesOf(record) + record.publisher.size() + record.idempotency_key.size() +
         record.call.size();
}

}  // namespace

void History::Add(Entry entry) {
  newest_ = entry.sequence;
  if (limits_.events_max == 0) {
    return;
  }
  bytes_ += FootprintBytesOf(entry.record);
  entries_.push_back(std::move(entry));
  while (entries_.size() > limits_.events_max || bytes_ > limits_.bytes_max) {
    DropFirst();
  }
}

void History::DropOld(base::MonotonicTime now) {
  while (!entries_.empty() && now - entries_.front().received > limits_.age_max) {
    DropFirst();
  }
}

absl::StatusOr<Page> History::Read(const EventLog::ReadOptions& options) const {
  const Bounds bounds = this->bounds();
  if (options.after.epoch != epoch_) {
    return absl::NotFoundError(absl::StrCat("event id ", EventIdOf(options.after),
                                            " is of another epoch; this log has ",
                                            EventIdOf({.epoch = epoch_, .sequence = bounds.newest}), " last"));
  }
  Page page{.entries = {}, .read_to = options.after};
  if (options.after.sequence >= bounds.newest) {
    return page;
  }
  if (options.after.sequence + 1 < bounds.oldest) {
    return absl::OutOfRangeError(absl::StrCat("events after ", EventIdOf(options.after),
                                              " have been trimmed; the oldest is ",
                                              EventIdOf({.epoch = epoch_, .sequence = bounds.oldest})));
  }
  size_t bytes = 0;
  for (size_t i = options.after.sequence + 1 - bounds.oldest; i < entries_.size(); ++i) {
    const Entry& entry = entries_[i];
    bytes += ReadBytesOf(entry.record);
    if (!page.entries.empty() && (page.entries.size() >= options.entries_max || bytes > options.bytes_max)) {
      break;
    }
    page.entries.push_back(entry);
    page.read_to.sequence = entry.sequence;
  }
  return page;
}

void History::DropFirst() {
  bytes_ -= FootprintBytesOf(entries_.front().record);
  entries_.pop_front();
}

}  // namespace bridge::log
