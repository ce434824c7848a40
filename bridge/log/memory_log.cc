#include "bridge/log/memory_log.h"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace bridge::log {
namespace {

// Each may copy a page; appends wait for no more of them than these.
constexpr size_t kQuestionsPerRoundMax = 8;

// Nobody appends or reads, and records and keys grow old: how often they are looked at, and how many keys are dropped
// at a time (a million expired ones in one go would hold up appends for 100 ms).
constexpr absl::Duration kDropOldInterval = absl::Seconds(1);
constexpr size_t kKeysDroppedMax = 16'384;

// The room for requests that is kept after a burst.
constexpr size_t kRequestsKept = 4096;

uint64_t EpochFromWallClock() { return static_cast<uint64_t>(std::max<int64_t>(1, absl::GetCurrentTimeNanos())); }

absl::Status EndingError() { return absl::UnavailableError("the log is ending"); }

}  // namespace

MemoryLog::MemoryLog(Options options)
    : epoch_(options.epoch != 0 ? options.epoch : EpochFromWallClock()),
      clock_(std::move(options.clock)),
      history_(epoch_, options.history),
      idempotency_window_({.age_max = options.idempotency_window, .keys_max = options.idempotency_keys_max}),
      thread_([this] { Run(); }) {}

MemoryLog::~MemoryLog() {
  {
    const absl::MutexLock lock(&mutex_);
    is_ending_ = true;
  }
  thread_.join();
}

void MemoryLog::Append(std::vector<Record> records, AppendCallback done) {
  Request request{.records = std::move(records), .done = std::move(done), .received = clock_(), .appended = {}};
  {
    const absl::MutexLock lock(&mutex_);
    if (!is_ending_) {
      arrived_.push_back(std::move(request));
      return;
    }
  }
  request.done(EndingError());
}

void MemoryLog::Follow(Follower* follower, const Tail& /*tail*/) {
  const absl::MutexLock lock(&mutex_);
  assert(follower_ == nullptr);
  follower_ = follower;
}

void MemoryLog::ResumeFollow() {
  const absl::MutexLock lock(&mutex_);
  is_stalled_ = false;
}

void MemoryLog::Read(const ReadOptions& options, ReadCallback done) {
  Ask([this, options, answer = std::move(done)](const absl::Status& status) mutable {
    answer(status.ok() ? history_.Read(options) : status);
  });
}

void MemoryLog::GetBounds(BoundsCallback done) {
  Ask([this, answer = std::move(done)](const absl::Status& status) mutable {
    answer(status.ok() ? absl::StatusOr<Bounds>(history_.bounds()) : status);
  });
}

MemoryLog::Stats MemoryLog::stats() const {
  const absl::MutexLock lock(&mutex_);
  return stats_;
}

void MemoryLog::Ask(Question question) {
  {
    const absl::MutexLock lock(&mutex_);
    if (!is_ending_) {
      questions_.push_back(std::move(question));
      return;
    }
  }
  question(EndingError());
}

void MemoryLog::Run() {
  while (std::optional<Round> round = AwaitRound()) {
    if (round->new_follower != nullptr) {
      told_follower_ = round->new_follower;
      told_follower_->OnEpoch(epoch_, newest_);
      told_follower_->OnCaughtUp();
    }
    const size_t first_unanswered = next_request_;
    if (round->may_append) {
      AppendSome();
    }
    DropOld();
    PublishStats();
    for (size_t i = first_unanswered; i < next_request_; ++i) {
      Request request = std::move(requests_[i]);
      request.done(std::move(request.appended));
    }
    for (Question& question : round->questions) {
      question(absl::OkStatus());
    }
  }
  Abandon();
}

std::optional<MemoryLog::Round> MemoryLog::AwaitRound() {
  const bool has_requests = next_request_ < requests_.size();
  if (!has_requests) {
    requests_.clear();
    if (requests_.capacity() > kRequestsKept) {
      requests_.shrink_to_fit();
    }
    next_request_ = 0;
  }
  const bool may_grow_old = history_.events() != 0 || idempotency_window_.size() != 0;

  const absl::MutexLock lock(&mutex_);
  const auto has_work = [this, has_requests, told_follower = told_follower_]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return is_ending_ || !questions_.empty() || follower_ != told_follower ||
           (!is_stalled_ && (has_requests || !arrived_.empty()));
  };
  mutex_.AwaitWithTimeout(absl::Condition(&has_work), may_grow_old ? kDropOldInterval : absl::InfiniteDuration());

  if (is_ending_) {
    return std::nullopt;
  }
  Round round;
  if (follower_ != told_follower_) {
    round.new_follower = follower_;
  }
  if (!is_stalled_) {
    if (!has_requests) {
      requests_.swap(arrived_);
    }
    round.may_append = !requests_.empty();
  }
  while (!questions_.empty() && round.questions.size() < kQuestionsPerRoundMax) {
    round.questions.push_back(std::move(questions_.front()));
    questions_.pop_front();
  }
  return round;
}

void MemoryLog::AppendSome() {
  const base::MonotonicTime now = clock_();
  for (size_t room = kEntriesPerCallMax; next_request_ < requests_.size(); ++next_request_) {
    Request& request = requests_[next_request_];
    request.appended.reserve(request.records.size());
    for (; room > 0 && request.appended.size() < request.records.size(); --room) {
      request.appended.push_back(Place(std::move(request.records[request.appended.size()]), request.received, now));
    }
    if (request.appended.size() < request.records.size()) {
      break;
    }
  }
  HandOver();
  for (Entry& entry : entries_) {
    if (entry.sequence != 0) {
      history_.Add(std::move(entry));
    }
  }
  entries_.clear();
}

void MemoryLog::HandOver() {
  if (told_follower_ == nullptr || entries_.empty()) {
    return;
  }
  {
    const absl::MutexLock lock(&mutex_);
    is_stalled_ = true;
  }
  if (told_follower_->OnEntries(entries_) == Follower::Flow::kContinue) {
    ResumeFollow();
  }
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
  std::deque<Question> questions;
  {
    const absl::MutexLock lock(&mutex_);
    std::ranges::move(arrived_, std::back_inserter(requests_));
    questions.swap(questions_);
  }
  for (; next_request_ < requests_.size(); ++next_request_) {
    requests_[next_request_].done(EndingError());
  }
  for (Question& question : questions) {
    question(EndingError());
  }
}

}  // namespace bridge::log
