#include "bridge/log/disk_log.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/time/time.h"
#include "absl/types/span.h"

#include "bridge/base/status_macros.h"

namespace bridge::log {
namespace {

constexpr size_t kReaderThreads = 2;

// Nobody appends, and keys grow old: how often they are looked at, and how many are dropped at a time.
constexpr absl::Duration kDropOldInterval = absl::Seconds(1);
constexpr size_t kKeysDroppedMax = 16'384;

// The room for requests, and for entries, that is kept after a burst.
constexpr size_t kRequestsKept = 4096;
constexpr size_t kEntriesKept = 8 * DiskLog::kEntriesPerCallMax;

}  // namespace

absl::StatusOr<std::unique_ptr<DiskLog>> DiskLog::Open(const Options& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<disk::Store> store,
                   disk::Store::Open({.path = options.path,
                                      .may_lack_its_tail = options.sync == Sync::kInterval,
                                      .bytes_max = options.bytes_max,
                                      .age_max = options.age_max,
                                      .key_age_max = options.idempotency_window,
                                      .keys_max = options.idempotency_keys_max,
                                      .clock = options.clock}));
  std::unique_ptr<DiskLog> log(new DiskLog(options, std::move(store)));
  RETURN_IF_ERROR(log->Start());
  return log;
}

DiskLog::DiskLog(const Options& options, std::unique_ptr<disk::Store> store)
    : store_(std::move(store)),
      idempotency_window_({.age_max = options.idempotency_window, .keys_max = options.idempotency_keys_max},
                          store_->fingerprint_key()),
      newest_(store_->bounds().newest),
      readers_(kReaderThreads),
      writer_(store_.get(), {.sync = options.sync, .sync_interval = options.sync_interval, .on_progress = [this] {
                               inbox_.Wake();
                             }}) {}

absl::Status DiskLog::Start() {
  RETURN_IF_ERROR(store_->ForEachKey([this](uint64_t sequence, const disk::TimedKey& key) {
    idempotency_window_.FindOrRemember(key.fingerprint, sequence, store_->clock().MonotonicAt(key.time));
  }));
  thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

DiskLog::~DiskLog() {
  inbox_.End();
  if (thread_.joinable()) {
    thread_.join();
  }
  readers_.End();
}

void DiskLog::Append(std::vector<Record> records, uint64_t failures_seen, AppendCallback done) {
  inbox_.Append({.records = std::move(records),
                 .failures_seen = failures_seen,
                 .done = std::move(done),
                 .received = store_->clock().Monotonic(),
                 .appended = {}});
}

void DiskLog::Follow(Follower* follower, const Tail& tail) {
  {
    const absl::MutexLock lock(&mutex_);
    tail_ = tail;
  }
  inbox_.Follow(follower);
}

void DiskLog::ResumeFollow() { inbox_.ResumeFollow(); }

void DiskLog::Read(const ReadOptions& options, ReadCallback done) {
  readers_.Run([this, options, answer = std::move(done)](const absl::Status& status) mutable {
    answer(status.ok() ? ReadPage(options) : status);
  });
}

absl::StatusOr<Page> DiskLog::ReadPage(const ReadOptions& options) {
  // In this order: what is written between the two is in both.
  const std::vector<disk::BatchPtr> unwritten = writer_.Unwritten(options.after.sequence, options.entries_max);
  absl::StatusOr<Page> page = store_->Read(options, unwritten);
  if (page.ok() || absl::IsNotFound(page.status()) || absl::IsOutOfRange(page.status())) {
    return page;
  }
  return absl::UnavailableError(page.status().message());
}

void DiskLog::GetBounds(BoundsCallback done) { writer_.GetBounds(std::move(done)); }

DiskLog::Stats DiskLog::stats() const {
  Stats stats;
  {
    const absl::MutexLock lock(&mutex_);
    stats = stats_;
  }
  const disk::Writer::Written written = writer_.written();
  stats.store_bytes = written.bytes;
  stats.store_events = written.events;
  stats.unreadable_records = store_->unreadable_total();
  return stats;
}

void DiskLog::Run() {
  while (const std::optional<Inbox::Round> round = inbox_.Await(NeedsOfRound())) {
    if (round->new_follower != nullptr) {
      StartTail(round->new_follower);
    }
    idempotency_window_.DropOld(store_->clock().Monotonic(), kKeysDroppedMax);
    progress_ = writer_.progress();
    if (round->is_stalled) {
      continue;
    }
    if (tail_follower_ != nullptr) {
      HandOverTail();
      continue;
    }
    if (progress_.failure.ok()) {
      PlaceSome();
      progress_ = writer_.progress();
    }
    Settle();
    if (!progress_.failure.ok() && !HasDurableEntry()) {
      RollBack();
      FailPlaced(progress_.failure);
    }
  }
  Abandon();
}

Inbox::Needs DiskLog::NeedsOfRound() {
  if (next_request_ == requests_.size()) {
    requests_.clear();
    if (requests_.capacity() > kRequestsKept) {
      requests_.shrink_to_fit();
    }
    next_request_ = 0;
  }
  const bool may_place = tail_follower_ == nullptr && !writer_.IsFull();
  return {.requests = may_place && requests_.empty() ? &requests_ : nullptr,
          .has_work = tail_follower_ != nullptr || HasDurableEntry() || (may_place && !requests_.empty()) ||
                      (!progress_.failure.ok() && !placed_.empty()),
          .wait_max = idempotency_window_.size() != 0 ? kDropOldInterval : absl::InfiniteDuration()};
}

void DiskLog::StartTail(Follower* follower) {
  Tail tail;
  {
    const absl::MutexLock lock(&mutex_);
    tail = tail_;
  }
  tail_follower_ = follower;
  tail_read_to_ = store_->TailStart(tail).value_or(newest_);
  follower->OnEpoch(store_->epoch(), tail_read_to_);
}

void DiskLog::HandOverTail() {
  if (tail_read_to_ == newest_) {
    tail_follower_->OnCaughtUp();
    tail_follower_ = nullptr;
    return;
  }
  const absl::StatusOr<Page> page = store_->Read(
      {.after = {.epoch = store_->epoch(), .sequence = tail_read_to_}, .entries_max = kEntriesPerCallMax}, {});
  if (!page.ok() || page->read_to.sequence == tail_read_to_) {
    // What cannot be read, or has been trimmed meanwhile, is not in the tail.
    tail_read_to_ = newest_;
    tail_follower_->OnGap(newest_, Follower::Missing::kUnreadable);
    return;
  }
  tail_read_to_ = page->read_to.sequence;
  if (page->damaged_to != 0) {
    tail_follower_->OnGap(page->damaged_to, Follower::Missing::kUnreadable);
  }
  inbox_.HandOver(page->entries);
}

void DiskLog::PlaceSome() {
  const base::MonotonicTime now = store_->clock().Monotonic();
  const auto batch = std::make_shared<disk::Batch>();
  const uint64_t entries_max = entries_placed_ + kEntriesPerCallMax;
  for (; next_request_ < requests_.size() && entries_placed_ < entries_max; ++next_request_) {
    Inbox::Request& request = requests_[next_request_];
    if (request.failures_seen != failures()) {
      ++append_failures_;
      placed_.push_back({.done = std::move(request.done), .appended = last_failure_, .entries_until = entries_placed_});
      continue;
    }
    request.appended.reserve(request.records.size());
    for (Record& record : request.records) {
      request.appended.push_back(Place(std::move(record), request.received, now, batch.get()));
    }
    placed_.push_back(
        {.done = std::move(request.done), .appended = std::move(request.appended), .entries_until = entries_placed_});
  }
  if (!batch->empty()) {
    writer_.Add(batch);
  }
}

Appended DiskLog::Place(Record&& record, base::MonotonicTime received, base::MonotonicTime now, disk::Batch* batch) {
  const uint64_t epoch = store_->epoch();
  const disk::LogClock& clock = store_->clock();
  if (record.ephemeral) {
    entries_.push_back({.sequence = 0, .record = std::move(record), .received = received});
    ++entries_placed_;
    return {.status = absl::OkStatus(), .position = {.epoch = epoch, .sequence = 0}};
  }
  disk::StoredRecord stored{.sequence = newest_ + 1, .value = {}, .key = {}};
  if (!record.idempotency_key.empty()) {
    const Fingerprint fingerprint = idempotency_window_.FingerprintOf(record);
    if (const auto first = idempotency_window_.FindOrRemember(fingerprint, stored.sequence, now)) {
      return {.status = absl::OkStatus(), .position = {.epoch = epoch, .sequence = *first}, .is_duplicate = true};
    }
    stored.key = sealer_.Seal(stored.sequence, fingerprint, clock.At(now));
  }
  stored.value = sealer_.Seal(stored.sequence, record, clock.At(received));
  batch->Add(stored);
  entries_.push_back({.sequence = ++newest_, .record = std::move(record), .received = received});
  ++entries_placed_;
  return {.status = absl::OkStatus(), .position = {.epoch = epoch, .sequence = newest_}};
}

bool DiskLog::HasDurableEntry() const {
  return next_entry_ < entries_.size() && entries_[next_entry_].sequence <= progress_.durable_sequence;
}

void DiskLog::Settle() {
  const size_t first = next_entry_;
  while (HasDurableEntry() && next_entry_ - first < kEntriesPerCallMax) {
    ++next_entry_;
  }
  inbox_.HandOver(absl::MakeConstSpan(entries_).subspan(first, next_entry_ - first));
  entries_handed_over_ += next_entry_ - first;
  if (next_entry_ >= entries_.size() / 2) {
    entries_.erase(entries_.begin(), entries_.begin() + static_cast<ptrdiff_t>(std::exchange(next_entry_, 0)));
  }
  if (entries_.empty() && entries_.capacity() > kEntriesKept) {
    entries_.shrink_to_fit();
  }
  PublishStats();
  while (!placed_.empty() && placed_.front().entries_until <= entries_handed_over_) {
    Placed request = std::move(placed_.front());
    placed_.pop_front();
    request.done(std::move(request.appended));
  }
}

void DiskLog::RollBack() {
  newest_ = progress_.durable_sequence;
  idempotency_window_.ForgetFrom(newest_ + 1);
  entries_.clear();
  next_entry_ = 0;
  entries_handed_over_ = entries_placed_;
  writer_.Forget();
}

void DiskLog::FailPlaced(const absl::Status& failure) {
  last_failure_ = failure;
  failures_.fetch_add(1, std::memory_order_relaxed);
  append_failures_ += static_cast<uint64_t>(
      std::ranges::count_if(placed_, [](const Placed& request) { return request.appended.ok(); }));
  PublishStats();
  for (Placed& request : std::exchange(placed_, {})) {
    request.done(failure);
  }
}

void DiskLog::Abandon() {
  FailPlaced(Inbox::EndingError());
  std::ranges::move(inbox_.TakeRequests(), std::back_inserter(requests_));
  for (; next_request_ < requests_.size(); ++next_request_) {
    requests_[next_request_].done(Inbox::EndingError());
  }
}

void DiskLog::PublishStats() {
  const absl::MutexLock lock(&mutex_);
  stats_ = {.idempotency_keys = idempotency_window_.size(),
            .idempotency_keys_evicted = idempotency_window_.evicted_total(),
            .append_failures = append_failures_};
}

}  // namespace bridge::log
