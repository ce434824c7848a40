#include "bridge/log/memory_log.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace bridge::log {
namespace {

// Nobody appends or reads, and records and keys grow old: how often they are looked at, and how many keys are dropped
// at a time (a million expired ones in one go would hold up appends for 100 ms).
constexpr absl::Duration kDropOldInterval = absl::Seconds(1);
constexpr size_t kKeysDroppedMax = 16'384;

// The room for requests that is kept after a burst.
constexpr size_t kRequestsKept = 4096;

uint64_t EpochFromWallClock() { return static_cast<uint64_t>(std::max<int64_t>(1, absl::GetCurrentTimeNanos())); }

}  // namespace

MemoryLog::MemoryLog(Options options)
    : epoch_(options.epoch != 0 ? options.epoch : EpochFromWallClock()),
      clock_(std::move(options.clock)),
      history_(epoch_, options.history),
      idempotency_window_({.age_max = options.idempotency_window, .keys_max = options.idempotency_keys_max}),
      thread_([this] { Run(); }) {}

MemoryLog::~MemoryLog() {
  inbox_.End();
  thread_.join();
}

void MemoryLog::Append(std::vector<Record> records, uint64_t /*failures_seen*/, AppendCallback done) {
  inbox_.Append({.records = std::move(records), .done = std::move(done), .received = clock_(), .appended = {}});
}

void MemoryLog::Follow(Follower* follower, const Tail& /*tail*/) { inbox_.Follow(follower); }

void MemoryLog::ResumeFollow() { inbox_.ResumeFollow(); }

void MemoryLog::Read(const ReadOptions& options, ReadCallback done) {
  inbox_.Ask([this, options, answer = std::move(done)](const absl::Status& status) mutable {
    answer(status.ok() ? history_.Read(options) : status);
  });
}

void MemoryLog::GetBounds(BoundsCallback done) {
  inbox_.Ask([this, answer = std::move(done)](const absl::Status& status) mutable {
    answer(status.ok() ? absl::StatusOr<Bounds>(history_.bounds()) : status);
  });
}

MemoryLog::Stats MemoryLog::stats() const {
  const absl::MutexLock lock(&mutex_);
  return stats_;
}

void MemoryLog::Run() {
  while (std::optional<Inbox::Round> round = AwaitRound()) {
    if (round->new_follower != nullptr) {
      round->new_follower->OnEpoch(epoch_, newest_);
      round->new_follower->OnCaughtUp();
    }
    const size_t first_unanswered = next_request_;
    if (!round->is_stalled) {
      AppendSome();
    }
    DropOld();
    PublishStats();
    for (size_t i = first_unanswered; i < next_request_; ++i) {
      Inbox::Request request = std::move(requests_[i]);
      request.done(std::move(request.appended));
    }
    for (Inbox::Question& question : round->questions) {
      question(absl::OkStatus());
    }
  }
  Abandon();
}

std::optional<Inbox::Round> MemoryLog::AwaitRound() {
  const bool has_requests = next_request_ < requests_.size();
  if (!has_requests) {
    requests_.clear();
    if (requests_.capacity() > kRequestsKept) {
      requests_.shrink_to_fit();
    }
    next_request_ = 0;
  }
  const bool may_grow_old = history_.events() != 0 || idempotency_window_.size() != 0;
  return inbox_.Await({.requests = has_requests ? nullptr : &requests_,
                       .has_work = has_requests,
                       .wait_max = may_grow_old ? kDropOldInterval : absl::InfiniteDuration()});
}

void MemoryLog::AppendSome() {
  const base::MonotonicTime now = clock_();
  for (size_t room = kEntriesPerCallMax; next_request_ < requests_.size(); ++next_request_) {
    Inbox::Request& request = requests_[next_request_];
    request.appended.reserve(request.records.size());
    for (; room > 0 && request.appended.size() < request.records.size(); --room) {
      request.appended.push_back(Place(std::move(request.records[request.appended.size()]), request.received, now));
    }
    if (request.appended.size() < request.records.size()) {
      break;
    }
  }
  inbox_.HandOver(entries_);
  for (Entry& entry : entries_) {
    if (entry.sequence != 0) {
      history_.Add(std::move(entry));
    }
  }
  entries_.clear();
}

Appended MemoryLog::Place(Record record, base::MonotonicTime received, base::MonotonicTime now) {
  if (record.ephemeral) {
    entries_.push_back({.sequence = 0, .record = std::move(record), .received = received});
    return {.status = absl::OkStatus(), .position = {.epoch = epoch_, .sequence = 0}};
  }
  if (!record.idempotency_key.empty()) {
    if (const auto first = idempotency_window_.FindOrRemember(record, newest_ + 1, now)) {
      return {.status = absl::OkStatus(), .position = {.epoch = epoch_, .sequence = *first}, .is_duplicate = true};
    }
  }
  entries_.push_back({.sequence = ++newest_, .record = std::move(record), .received = received});
  return {.status = absl::OkStatus(), .position = {.epoch = epoch_, .sequence = newest_}};
}

void MemoryLog::DropOld() {
  const base::MonotonicTime now = clock_();
  history_.DropOld(now);
  idempotency_window_.DropOld(now, kKeysDroppedMax);
}

void MemoryLog::PublishStats() {
  const absl::MutexLock lock(&mutex_);
  stats_ = {.idempotency_keys = idempotency_window_.size(),
            .idempotency_keys_evicted = idempotency_window_.evicted_total(),
            .store_bytes = history_.bytes(),
            .store_events = history_.events()};
}

void MemoryLog::Abandon() {
  std::ranges::move(inbox_.TakeRequests(), std::back_inserter(requests_));
  for (; next_request_ < requests_.size(); ++next_request_) {
    requests_[next_request_].done(Inbox::EndingError());
  }
  for (Inbox::Question& question : inbox_.TakeQuestions()) {
    question(Inbox::EndingError());
  }
}

}  // namespace bridge::log
