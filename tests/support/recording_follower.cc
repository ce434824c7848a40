#include "tests/support/recording_follower.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace bridge::test {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(30);

}  // namespace

void RecordingFollower::StallAt(size_t entries) {
  const absl::MutexLock lock(&mutex_);
  stall_at_ = entries;
}

bool RecordingFollower::WaitForEntries(size_t count) const {
  const absl::MutexLock lock(&mutex_);
  const auto has_them = [this, count]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return entries_.size() >= count; };
  return mutex_.AwaitWithTimeout(absl::Condition(&has_them), kPatience);
}

bool RecordingFollower::WaitForEpoch() const {
  const absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(&has_epoch_), kPatience);
}

bool RecordingFollower::WaitUntilCaughtUp() const {
  const absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(&is_caught_up_), kPatience);
}

std::vector<log::Entry> RecordingFollower::entries() const {
  const absl::MutexLock lock(&mutex_);
  return entries_;
}

size_t RecordingFollower::size() const {
  const absl::MutexLock lock(&mutex_);
  return entries_.size();
}

uint64_t RecordingFollower::epoch() const {
  const absl::MutexLock lock(&mutex_);
  return epoch_;
}

size_t RecordingFollower::epochs() const {
  const absl::MutexLock lock(&mutex_);
  return epochs_;
}

std::vector<uint64_t> RecordingFollower::gaps() const {
  const absl::MutexLock lock(&mutex_);
  return gaps_;
}

size_t RecordingFollower::largest_call() const {
  const absl::MutexLock lock(&mutex_);
  return largest_call_;
}

std::vector<std::string> RecordingFollower::violations() const {
  const absl::MutexLock lock(&mutex_);
  return violations_;
}

void RecordingFollower::NoteResume() {
  const absl::MutexLock lock(&mutex_);
  is_stalled_ = false;
}

void RecordingFollower::OnEpoch(uint64_t epoch, uint64_t head) {
  const absl::MutexLock lock(&mutex_);
  has_epoch_ = true;
  is_caught_up_ = false;
  epoch_ = epoch;
  ++epochs_;
  last_sequence_ = head;
}

void RecordingFollower::OnCaughtUp() {
  const absl::MutexLock lock(&mutex_);
  if (!has_epoch_ || is_caught_up_) {
    violations_.emplace_back(has_epoch_ ? "OnCaughtUp twice in an epoch" : "OnCaughtUp before OnEpoch");
  }
  is_caught_up_ = true;
}

void RecordingFollower::OnGap(uint64_t head, Missing /*why*/) {
  const absl::MutexLock lock(&mutex_);
  if (!has_epoch_ || is_stalled_ || head <= last_sequence_) {
    violations_.emplace_back(absl::StrCat("a gap to ", head, " after ", last_sequence_));
  }
  last_sequence_ = head;
  gaps_.push_back(head);
}

log::Follower::Flow RecordingFollower::OnEntries(absl::Span<const log::Entry> entries) {
  const absl::MutexLock lock(&mutex_);
  CheckCall(entries);
  entries_.insert(entries_.end(), entries.begin(), entries.end());
  largest_call_ = std::max(largest_call_, entries.size());
  is_stalled_ = entries_.size() >= stall_at_;
  return is_stalled_ ? Flow::kStall : Flow::kContinue;
}

void RecordingFollower::CheckCall(absl::Span<const log::Entry> entries) {
  if (!has_epoch_) {
    violations_.emplace_back("OnEntries before OnEpoch");
  }
  if (is_stalled_) {
    violations_.emplace_back(absl::StrCat("OnEntries in a stall after ", entries_.size(), " entries"));
  }
  if (entries.empty()) {
    violations_.emplace_back("OnEntries without entries");
  }
  for (const log::Entry& entry : entries) {
    if (entry.record.ephemeral ? entry.sequence != 0 : entry.sequence <= last_sequence_) {
      violations_.emplace_back(absl::StrCat("sequence ", entry.sequence, " after ", last_sequence_));
    }
    last_sequence_ = std::max(last_sequence_, entry.sequence);
  }
}

}  // namespace bridge::test
