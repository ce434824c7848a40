#include "bridge/log/disk/writer.h"

#include <algorithm>
#include <utility>

#include "absl/time/time.h"

#include "bridge/base/status_macros.h"
#include "bridge/log/inbox.h"

namespace bridge::log::disk {
namespace {

// What waits to be written, before the log's thread waits too; half of it is written before its interval ends.
constexpr size_t kUnwrittenBytesMax = size_t{32} << 20;

// How often records and keys that have grown old are looked for, and for room where there was none.
constexpr std::chrono::seconds kTendInterval{1};

// Between two tries to write what the journal has.
constexpr std::chrono::seconds kRetryInterval{1};

}  // namespace

Writer::Writer(Store* store, Options options)
    : store_(store),
      options_(std::move(options)),
      durable_sequence_(store->bounds().newest),
      written_(WrittenOf(*store)),
      tended_(store->clock().Monotonic()),
      thread_([this] { Run(); }) {}

Writer::Written Writer::WrittenOf(const Store& store) {
  const Bounds bounds = store.bounds();
  return {.bytes = store.record_bytes(), .events = bounds.newest + 1 - bounds.oldest};
}

Writer::~Writer() {
  {
    const absl::MutexLock lock(&mutex_);
    is_ending_ = true;
  }
  thread_.join();
}

bool Writer::IsFull() const {
  const absl::MutexLock lock(&mutex_);
  return bytes_ >= kUnwrittenBytesMax && write_failure_.ok();
}

void Writer::Add(BatchPtr batch) {
  if (IsEachBatch()) {
    const absl::MutexLock lock(&mutex_);
    Enqueue(std::move(batch));
    return;
  }
  const absl::MutexLock journal_lock(&journal_mutex_);
  const absl::Status added = AddToJournal(*batch);
  const absl::MutexLock lock(&mutex_);
  if (!added.ok()) {
    failure_ = health_ = absl::UnavailableError(added.message());
    due_ = base::MonotonicTime::min();  // which may make room
    return;
  }
  durable_sequence_ = batch->last_sequence();
  if (write_failure_.ok()) {  // it may have come meanwhile
    health_ = absl::OkStatus();
  }
  Enqueue(std::move(batch));
}

absl::Status Writer::AddToJournal(const Batch& batch) {
  uint64_t unwritten_bytes = 0;
  {
    const absl::MutexLock lock(&mutex_);
    RETURN_IF_ERROR(write_failure_);
    unwritten_bytes = bytes_;
  }
  RETURN_IF_ERROR(store_->Reserve(unwritten_bytes + batch.bytes().size()));
  return journal().Add(store_->epoch(), batch);
}

void Writer::Enqueue(BatchPtr batch) {
  bytes_ += batch->bytes().size();
  batches_.push_back(std::move(batch));
  if (!failure_.ok()) {
    return;
  }
  if (IsEachBatch() || bytes_ >= kUnwrittenBytesMax / 2) {
    due_ = base::MonotonicTime::min();
  } else if (due_ == kNever) {
    due_ = base::MonotonicClock::now() + options_.sync_interval;
  }
}

Writer::Progress Writer::progress() const {
  const absl::MutexLock lock(&mutex_);
  return {.durable_sequence = durable_sequence_, .failure = failure_};
}

void Writer::Forget() {
  const absl::MutexLock lock(&mutex_);
  failure_ = absl::OkStatus();
  if (IsEachBatch()) {
    batches_.clear();
    bytes_ = 0;
    due_ = kNever;
  }
}

void Writer::GetBounds(EventLog::BoundsCallback done) {
  {
    const absl::MutexLock lock(&mutex_);
    if (!is_ending_) {
      questions_.push_back(std::move(done));
      return;
    }
  }
  done(Inbox::EndingError());
}

std::vector<BatchPtr> Writer::Unwritten(uint64_t after, size_t records_max) const {
  std::vector<BatchPtr> found;
  if (IsEachBatch()) {
    return found;
  }
  const absl::MutexLock lock(&mutex_);
  const auto is_before = [](uint64_t sequence, const BatchPtr& batch) { return sequence < batch->last_sequence(); };
  size_t records = 0;
  for (auto next = std::upper_bound(batches_.begin(), batches_.end(), after, is_before);
       next != batches_.end() && records <= records_max; ++next) {
    found.push_back(*next);
    records += (*next)->size();
  }
  return found;
}

absl::Status Writer::health() const {
  const absl::MutexLock lock(&mutex_);
  return health_;
}

Writer::Written Writer::written() const {
  const absl::MutexLock lock(&mutex_);
  return written_;
}

void Writer::Run() {
  while (true) {
    Round round = Await();
    if (round.is_last) {
      break;
    }
    if (!round.batches.empty()) {
      Write(round.batches);
    }
    Tend();
    for (EventLog::BoundsCallback& question : round.questions) {
      Bounds bounds = store_->bounds();
      bounds.newest = progress().durable_sequence;
      question(bounds);
    }
  }
  Close();
}

Writer::Round Writer::Await() {
  Round round;
  bool must_write = false;
  {
    const absl::MutexLock lock(&mutex_);
    while (true) {
      const base::MonotonicTime due = due_;
      const auto has_work = [this, due]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
        return is_ending_ || !questions_.empty() || due_ != due || base::MonotonicClock::now() >= due_;
      };
      const base::MonotonicTime now = base::MonotonicClock::now();
      const auto wait_max = std::clamp<base::MonotonicClock::duration>(
          due - std::min(now, due), base::MonotonicClock::duration::zero(), kTendInterval);
      if (!mutex_.AwaitWithTimeout(absl::Condition(&has_work), absl::FromChrono(wait_max)) || due_ == due ||
          is_ending_) {
        break;
      }
    }
    if (is_ending_) {
      round.is_last = true;
      return round;
    }
    if (base::MonotonicClock::now() >= due_ || !questions_.empty()) {
      due_ = kNever;
      must_write = !batches_.empty() && (failure_.ok() || !IsEachBatch());
    }
    round.questions.swap(questions_);
  }
  if (must_write) {
    round.batches = TakeUnwritten();
  }
  return round;
}

std::vector<BatchPtr> Writer::TakeUnwritten() {
  // In this order: what is in the journal is in `batches_`, so what comes after the turn is all that is left to write.
  const absl::MutexLock journal_lock(&journal_mutex_);
  journal().TurnOver();
  const absl::MutexLock lock(&mutex_);
  due_ = kNever;
  return {batches_.begin(), batches_.end()};
}

void Writer::Write(const std::vector<BatchPtr>& batches) {
  const absl::Status written = store_->Write(batches);
  if (written.ok()) {
    NoteWritten(batches.size());
  } else {
    const absl::MutexLock lock(&mutex_);
    if (!batches.empty()) {
      NoteFailure(written);
    } else {
      health_ = absl::UnavailableError(written.message());
    }
  }
  options_.on_progress();
}

void Writer::NoteWritten(size_t batches) {
  if (batches == 0) {
    const absl::MutexLock lock(&mutex_);
    NoteStored();  // only trimmed: the journal may hold what could not be written
    return;
  }
  // Nothing is added between what is seen of `batches_` and what is dropped.
  const absl::MutexLock journal_lock(&journal_mutex_);
  Journal::Written written = Journal::Written::kOther;
  {
    const absl::MutexLock lock(&mutex_);
    for (size_t i = 0; i < batches; ++i) {
      bytes_ -= batches_.front()->bytes().size();
      batches_.pop_front();
    }
    NoteStored();
    write_failure_ = absl::OkStatus();
    if (IsEachBatch()) {
      health_ = absl::OkStatus();
    }
    if (batches_.empty()) {
      written = Journal::Written::kAll;
    }
  }
  // Where it fails, the next opening finds records that it has already.
  journal().Drop(written).IgnoreError();
}

void Writer::NoteStored() {
  durable_sequence_ = std::max(durable_sequence_, store_->bounds().newest);
  written_ = WrittenOf(*store_);
}

void Writer::NoteFailure(const absl::Status& failure) {
  health_ = absl::UnavailableError(failure.message());
  if (IsEachBatch()) {
    failure_ = health_;
    due_ = kNever;
  } else {
    write_failure_ = health_;
    due_ = base::MonotonicClock::now() + kRetryInterval;
  }
}

void Writer::Tend() {
  const base::MonotonicTime now = store_->clock().Monotonic();
  if (now - tended_ < kTendInterval) {
    return;
  }
  tended_ = now;
  if (store_->HasTooMuch()) {
    Write({});
  }
  if (!health().ok()) {
    const absl::Status room = store_->CheckRoom();
    const absl::MutexLock lock(&mutex_);
    health_ = room.ok() ? absl::OkStatus() : absl::UnavailableError(room.message());
  }
}

void Writer::Close() {
  std::vector<BatchPtr> batches;
  std::vector<EventLog::BoundsCallback> questions;
  {
    const absl::MutexLock lock(&mutex_);
    if (!IsEachBatch()) {
      batches.assign(batches_.begin(), batches_.end());
    }
    questions.swap(questions_);
  }
  // Where this fails, the next opening goes on from the journal.
  if (store_->Write(batches).ok()) {
    const absl::MutexLock journal_lock(&journal_mutex_);
    if (journal().Drop(Journal::Written::kAll).ok()) {
      store_->Close().IgnoreError();
    }
  }
  for (EventLog::BoundsCallback& question : questions) {
    question(Inbox::EndingError());
  }
}

}  // namespace bridge::log::disk
