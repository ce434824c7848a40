#include "tests/support/faulty_log.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace bridge::test {
namespace {

absl::Status EndingError() { return absl::UnavailableError("the faulty log is ending"); }
absl::Status StoreError() { return absl::UnavailableError("the faulty log's store is away"); }

}  // namespace

FaultyLog::FaultyLog(std::unique_ptr<log::EventLog> inner, const Options& options)
    : delay_max_(options.delay_max), inner_(std::move(inner)), random_(options.seed), thread_([this] { Run(); }) {}

FaultyLog::~FaultyLog() {
  {
    const absl::MutexLock lock(&mutex_);
    is_ending_ = true;
  }
  thread_.join();
  // What it answers or hands over in its end is planned as ever.
  inner_.reset();

  std::deque<std::unique_ptr<Request>> requests;
  std::deque<Action> reads;
  {
    const absl::MutexLock lock(&mutex_);
    requests.swap(unanswered_);
    std::move(arrived_.begin(), arrived_.end(), std::back_inserter(requests));
    reads.swap(lanes_[kReads]);
  }
  for (const auto& request : requests) {
    request->done(request->result.has_value() ? *std::move(request->result) : EndingError());
  }
  for (Action& read : reads) {
    read(EndingError());
  }
}

void FaultyLog::StallStore() {
  const absl::MutexLock lock(&mutex_);
  is_store_stalled_ = true;
}

void FaultyLog::ResumeStore() {
  const absl::MutexLock lock(&mutex_);
  is_store_stalled_ = false;
}

void FaultyLog::FailNextAppend() {
  const absl::MutexLock lock(&mutex_);
  fails_next_append_ = true;
}

void FaultyLog::FailNextRead() {
  const absl::MutexLock lock(&mutex_);
  fails_next_read_ = true;
}

uint64_t FaultyLog::failures() const {
  const absl::MutexLock lock(&mutex_);
  return failures_;
}

void FaultyLog::Append(std::vector<log::Record> records, uint64_t failures_seen, AppendCallback done) {
  auto request = std::make_unique<Request>();
  request->records = std::move(records);
  request->failures_seen = failures_seen;
  request->done = std::move(done);
  {
    const absl::MutexLock lock(&mutex_);
    arrived_.push_back(std::move(request));
  }
  Plan(kAppends, [this](const absl::Status&) { AppendNext(); });
}

void FaultyLog::Follow(log::Follower* follower, const Tail& tail) {
  {
    const absl::MutexLock lock(&mutex_);
    follower_ = follower;
  }
  inner_->Follow(&relay_, tail);
}

void FaultyLog::ResumeFollow() {
  const absl::MutexLock lock(&mutex_);
  is_follower_stalled_ = false;
}

void FaultyLog::Read(const ReadOptions& options, ReadCallback done) {
  PlanQuestion<log::Page>(std::move(done),
                          [this, options](ReadCallback answer) { inner_->Read(options, std::move(answer)); });
}

void FaultyLog::GetBounds(BoundsCallback done) {
  PlanQuestion<log::Bounds>(std::move(done), [this](BoundsCallback answer) { inner_->GetBounds(std::move(answer)); });
}

void FaultyLog::Plan(Lane lane, Action action) {
  const absl::MutexLock lock(&mutex_);
  lanes_[lane].push_back(std::move(action));
}

template <typename T>
void FaultyLog::PlanQuestion(absl::AnyInvocable<void(absl::StatusOr<T>)> done,
                             absl::AnyInvocable<void(absl::AnyInvocable<void(absl::StatusOr<T>)>)> ask) {
  Plan(kReads, [this, callback = std::move(done), question = std::move(ask)](const absl::Status& turn) mutable {
    absl::Status status = turn;
    {
      const absl::MutexLock lock(&mutex_);
      if (std::exchange(fails_next_read_, false)) {
        status.Update(StoreError());
      }
    }
    if (!status.ok()) {
      callback(status);
      return;
    }
    question([this, waiting = std::move(callback)](absl::StatusOr<T> result) mutable {
      Plan(kReads, [late = std::move(waiting), answer = std::move(result)](const absl::Status& late_turn) mutable {
        late(late_turn.ok() ? std::move(answer) : late_turn);
      });
    });
  });
}

size_t FaultyLog::RandomUpTo(size_t max) {
  const absl::MutexLock lock(&mutex_);
  return std::uniform_int_distribution<size_t>(0, max)(random_);
}

void FaultyLog::Run() {
  while (Action action = AwaitTurn()) {
    action(absl::OkStatus());
  }
}

FaultyLog::Action FaultyLog::AwaitTurn() {
  const absl::MutexLock lock(&mutex_);
  const auto has_turn = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return is_ending_ || HasTurn(); };
  do {
    mutex_.Await(absl::Condition(&has_turn));
    const absl::Duration delay = std::uniform_real_distribution<>(0, 1)(random_) * delay_max_;
    mutex_.AwaitWithTimeout(absl::Condition(&is_ending_), delay);
  } while (!has_turn());  // the store may have been stalled in the meantime
  if (is_ending_) {
    return nullptr;
  }
  auto lane = Lane{};
  do {
    lane = static_cast<Lane>(std::uniform_int_distribution<size_t>(0, kLaneCount - 1)(random_));
  } while (!MayRun(lane));
  Action action = std::move(lanes_[lane].front());
  lanes_[lane].pop_front();
  return action;
}

bool FaultyLog::MayRun(Lane lane) const {
  return !lanes_[lane].empty() && !is_store_stalled_ && !(lane == kEntries && is_follower_stalled_);
}

bool FaultyLog::HasTurn() const { return MayRun(kAppends) || MayRun(kAnswers) || MayRun(kEntries) || MayRun(kReads); }

void FaultyLog::AppendNext() {
  Request* request = nullptr;
  bool is_behind_failure = false;
  bool fails = false;
  {
    const absl::MutexLock lock(&mutex_);
    unanswered_.push_back(std::move(arrived_.front()));
    arrived_.pop_front();
    request = unanswered_.back().get();
    is_behind_failure = request->failures_seen != failures_;
    fails = !is_behind_failure && std::exchange(fails_next_append_, false);
    failures_ += fails ? 1 : 0;
  }
  if (is_behind_failure) {
    SetResult(request, StoreError());
  } else if (fails) {
    FailInTheMiddle(request);
  } else {
    inner_->Append(std::move(request->records), [this, request](absl::StatusOr<std::vector<log::Appended>> result) {
      SetResult(request, std::move(result));
    });
  }
}

void FaultyLog::FailInTheMiddle(Request* request) {
  std::vector<log::Record>& records = request->records;
  records.erase(records.begin() + static_cast<std::ptrdiff_t>(RandomUpTo(records.size())), records.end());
  inner_->Append(std::move(records), [](const auto&) {});
  SetResult(request, StoreError());
}

void FaultyLog::SetResult(Request* request, absl::StatusOr<std::vector<log::Appended>> result) {
  {
    const absl::MutexLock lock(&mutex_);
    request->result = std::move(result);
  }
  Plan(kAnswers, [this](const absl::Status&) { AnswerReady(); });
}

void FaultyLog::AnswerReady() {
  while (std::unique_ptr<Request> request = TakeReady()) {
    request->done(*std::move(request->result));
  }
}

std::unique_ptr<FaultyLog::Request> FaultyLog::TakeReady() {
  const absl::MutexLock lock(&mutex_);
  if (unanswered_.empty() || !unanswered_.front()->result.has_value()) {
    return nullptr;
  }
  std::unique_ptr<Request> request = std::move(unanswered_.front());
  unanswered_.pop_front();
  return request;
}

log::Follower* FaultyLog::follower() {
  const absl::MutexLock lock(&mutex_);
  return follower_;
}

void FaultyLog::HandOver(const std::vector<log::Entry>& entries) {
  {
    const absl::MutexLock lock(&mutex_);
    is_follower_stalled_ = true;
  }
  if (follower()->OnEntries(entries) == log::Follower::Flow::kContinue) {
    ResumeFollow();
  }
  bool has_room = false;
  {
    const absl::MutexLock lock(&mutex_);
    has_room = entries_held_ > kEntriesHeldMax && entries_held_ - entries.size() <= kEntriesHeldMax;
    entries_held_ -= entries.size();
  }
  if (has_room) {
    inner_->ResumeFollow();
  }
}

void FaultyLog::Relay::OnEpoch(uint64_t epoch, uint64_t head) {
  log_->Plan(kEntries, [log = log_, epoch, head](const absl::Status&) { log->follower()->OnEpoch(epoch, head); });
}

void FaultyLog::Relay::OnCaughtUp() {
  log_->Plan(kEntries, [log = log_](const absl::Status&) { log->follower()->OnCaughtUp(); });
}

void FaultyLog::Relay::OnGap(uint64_t head, Missing why) {
  log_->Plan(kEntries, [log = log_, head, why](const absl::Status&) { log->follower()->OnGap(head, why); });
}

log::Follower::Flow FaultyLog::Relay::OnEntries(absl::Span<const log::Entry> entries) {
  size_t held = 0;
  {
    const absl::MutexLock lock(&log_->mutex_);
    log_->entries_held_ += entries.size();
    held = log_->entries_held_;
  }
  while (!entries.empty()) {
    const size_t count = 1 + log_->RandomUpTo(entries.size() - 1);
    log_->Plan(kEntries, [log = log_, piece = std::vector<log::Entry>(entries.begin(), entries.begin() + count)](
                             const absl::Status&) { log->HandOver(piece); });
    entries.remove_prefix(count);
  }
  return held > kEntriesHeldMax ? Flow::kStall : Flow::kContinue;
}

}  // namespace bridge::test
