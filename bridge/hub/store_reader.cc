#include "bridge/hub/store_reader.h"

#include <algorithm>
#include <cassert>

#include "absl/time/time.h"

#include "bridge/base/allocated_bytes.h"
#include "bridge/log/position.h"
#include "bridge/ops/logging.h"

namespace bridge::hub {
namespace {

// Of one page: some milliseconds of work for the store, and a few writes to a stream.
constexpr size_t kPageRecordsMax = 1024;
constexpr size_t kPageBytesMax = size_t{512} << 10;

// Streams that go on within so many records of each other begin at the same page.
constexpr uint64_t kAlignment = 256;

}  // namespace

sse::FramePtr MakeFrame(uint64_t epoch, const log::Entry& entry) {
  const log::Record& record = entry.record;
  const std::string id =
      record.ephemeral ? std::string() : log::EventIdOf({.epoch = epoch, .sequence = entry.sequence});
  return sse::Frame::Make({.sequence = entry.sequence,
                           .received = entry.received,
                           .event = {.id = id,
                                     .type = record.type,
                                     .data = record.data,
                                     .retry_ms = static_cast<uint64_t>(absl::ToInt64Milliseconds(record.retry))}});
}

absl::string_view StoreReader::PatternFor(absl::Span<const topic::Pattern> patterns) const {
  if (!log_->can_filter() || patterns.size() != 1 || patterns[0].text() == ">") {
    return {};
  }
  return patterns[0].text();
}

FramePagePtr StoreReader::Find(const Place& place) const {
  const absl::MutexLock lock(&mutex_);
  return FindLocked(place);
}

FramePagePtr StoreReader::FindLocked(const Place& place) const {
  auto it = pages_.upper_bound({place.after.epoch, std::string(place.pattern), place.after.sequence});
  if (it == pages_.begin()) {
    return nullptr;
  }
  const auto& [key, page] = *--it;
  const bool is_same = key.epoch == place.after.epoch && key.pattern == place.pattern;
  return is_same && page->read_to > place.after.sequence ? page : nullptr;
}

void StoreReader::Fetch(const Place& place, PageSink* sink) {
  Key key = {place.after.epoch, std::string(place.pattern), place.after.sequence};
  if (place.pattern.empty()) {
    key.after -= key.after % kAlignment;
  }
  GoOn(std::move(key), {.furthest = place.after.sequence, .sinks = {sink}});
}

void StoreReader::Drop() {
  absl::btree_map<Key, FramePagePtr> dropped;  // freed without the lock
  const absl::MutexLock lock(&mutex_);
  dropped.swap(pages_);
  order_.clear();
  bytes_ = 0;
  for (auto& [key, read] : pending_) {
    read.is_dropped = true;
  }
}

void StoreReader::GoOn(Key key, const Read& wanted) {
  std::vector<FramePagePtr> at_hand;
  bool starts = false;
  {
    const absl::MutexLock lock(&mutex_);
    while (key.after <= wanted.furthest) {
      FramePagePtr page = FindLocked({.after = {key.epoch, key.after}, .pattern = key.pattern});
      if (page == nullptr) {
        break;
      }
      key.after = page->read_to;
      at_hand.push_back(std::move(page));
    }
    if (key.after <= wanted.furthest && (pending_.size() < kReadsMax || pending_.contains(key))) {
      Read& read = pending_[key];
      starts = read.sinks.empty();
      read.furthest = std::max(read.furthest, wanted.furthest);
      read.sinks.insert(wanted.sinks.begin(), wanted.sinks.end());
    }
  }
  for (const FramePagePtr& page : at_hand) {
    for (PageSink* sink : wanted.sinks) {
      sink->PostPage(page);
    }
  }
  if (starts) {
    Start(key);
  }
}

void StoreReader::Start(const Key& key) {
  log::EventLog::ReadOptions options = {
      .after = {.epoch = key.epoch, .sequence = key.after}, .entries_max = kPageRecordsMax, .bytes_max = kPageBytesMax};
  if (!key.pattern.empty()) {
    options.pattern = *topic::Pattern::Parse(key.pattern);
  }
  log_->Read(options, [this, key](absl::StatusOr<log::Page> answer) { OnPage(key, std::move(answer)); });
}

void StoreReader::OnPage(const Key& key, absl::StatusOr<log::Page> answer) {
  if (absl::IsOutOfRange(answer.status())) {
    log_->GetBounds([this, key](const absl::StatusOr<log::Bounds>& bounds) { OnBounds(key, bounds); });
    return;
  }
  const Read read = TakePending(key);
  if (!answer.ok()) {
    NoteFailed(answer.status());
    return;  // the streams ask again
  }
  if (read.is_dropped) {
    return;
  }
  const auto page = std::make_shared<FramePage>();
  page->epoch = key.epoch;
  page->after = key.after;
  page->read_to = answer->read_to.sequence;
  page->pattern = key.pattern;
  page->damaged_to = answer->damaged_to;
  page->list.Reserve(answer->entries.size());
  for (const log::Entry& entry : answer->entries) {
    assert(entry.sequence > page->after && entry.sequence <= page->read_to);
    assert(page->list.empty() || entry.sequence > page->list.frames().back()->sequence());
    page->list.Append(MakeFrame(key.epoch, entry), entry.record.topic);
  }
  if (page->read_to == page->after) {
    return;  // the store has nothing newer yet
  }
  Keep(key, page);
  for (PageSink* sink : read.sinks) {
    sink->PostPage(page);
  }
  if (page->read_to <= read.furthest) {
    GoOn({key.epoch, key.pattern, page->read_to}, read);
  }
}

void StoreReader::OnBounds(const Key& key, const absl::StatusOr<log::Bounds>& bounds) {
  const Read read = TakePending(key);
  if (!bounds.ok()) {
    NoteFailed(bounds.status());
    return;
  }
  if (read.is_dropped || bounds->epoch != key.epoch || bounds->oldest <= key.after + 1) {
    return;
  }
  const log::Position last_trimmed = {.epoch = key.epoch, .sequence = bounds->oldest - 1};
  for (PageSink* sink : read.sinks) {
    sink->PostTrimmed(last_trimmed);
  }
  if (read.furthest >= last_trimmed.sequence) {
    GoOn({key.epoch, key.pattern, last_trimmed.sequence}, read);
  }
}

void StoreReader::NoteFailed(const absl::Status& why) {
  if (const auto suppressed = failed_reads_.Admit()) {
    ops::LogWarn("history_read_failed", {{"error", why.ToString()}, {"suppressed", *suppressed}});
  }
}

StoreReader::Read StoreReader::TakePending(const Key& key) {
  const absl::MutexLock lock(&mutex_);
  const auto it = pending_.find(key);
  Read read = std::move(it->second);
  pending_.erase(it);
  return read;
}

size_t StoreReader::FootprintOf(const FramePage& page) {
  // A page may hold nothing but how far it goes. Its key stands in the map and in the order.
  constexpr size_t kPageBytes = base::AllocatedBytes(sizeof(FramePage)) + sizeof(FramePagePtr) + 2 * sizeof(Key);
  return kPageBytes + 3 * base::AllocatedBytes(page.pattern.size()) + page.list.footprint_bytes();
}

void StoreReader::Keep(const Key& key, FramePagePtr page) {
  std::vector<FramePagePtr> dropped;  // freed without the lock
  const absl::MutexLock lock(&mutex_);
  const auto [it, is_new] = pages_.try_emplace(key, page);
  if (!is_new) {
    bytes_ -= FootprintOf(*it->second);
    it->second = page;
  } else {
    order_.push_back(key);
  }
  bytes_ += FootprintOf(*page);
  while (bytes_ > kBytesKept && order_.size() > 1) {
    const auto oldest = pages_.find(order_.front());
    bytes_ -= FootprintOf(*oldest->second);
    dropped.push_back(std::move(oldest->second));
    pages_.erase(oldest);
    order_.pop_front();
  }
}

}  // namespace bridge::hub
