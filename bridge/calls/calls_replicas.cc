// What a replica does again and again, and what replicas know of each other: who is there, who serves and reads what.
#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/time/clock.h"

#include "bridge/calls/calls.h"

namespace bridge::calls {
namespace {

using Duration = base::MonotonicClock::duration;
using base::MonotonicTime;

constexpr Duration kTick = std::chrono::milliseconds(200);
constexpr Duration kPresenceInterval = std::chrono::seconds(1);

}  // namespace

void Calls::Tick() {
  if (log_ == nullptr) {
    return;
  }
  const MonotonicTime now = loop_->now();
  const Duration late = std::max(now - ticked_at_ - kTickLateMax, Duration::zero());
  ticked_at_ = now;
  away_total_ += late;
  if (away_since_.has_value()) {
    *away_since_ += late;
  }
  const bool is_away = StandStill();
  // Those silent while the log is away are not gone.
  if (replicas_.DropSilent(Now())) {
    TakeOverFromReplicas();
  }
  if (is_away) {
    follow_waits_.Fail(absl::UnavailableError("the log is away"));
  }
  for (const WorkerHandle& worker : std::exchange(untaken_, {})) {
    AwaitTakeOver(worker);
  }
  for (const auto& [name, queue] : waiting_) {
    for (const auto& [sequence, slot] : queue) {
      if (KeepsTimeOf(*slot)) {
        Assign(*slot);
      }
    }
  }
  if (options_.has_replicas && is_caught_up_ && (is_presence_due_ || now - presence_at_ >= kPresenceInterval)) {
    SayPresence();
  }
  if (drain_end_.has_value() && now >= *drain_end_) {
    EndAllCalls();
  }
  Shrink();
  loop_->Schedule(tick_timer_, kTick);
}

bool Calls::StandStill() {
  const bool is_away = !log_->health().ok();
  const bool stands_still = is_away || (IsLeavingCalls() && replicas_.empty());
  const MonotonicTime now = loop_->now();
  if (stands_still && !away_since_.has_value()) {
    away_since_ = now;
  } else if (!stands_still && away_since_.has_value()) {
    away_total_ += now - *away_since_;
    away_since_.reset();
  }
  return is_away;
}

void Calls::TakeOverFromReplicas() {
  for (const auto& slot : slots_) {
    if (slot->state.is_ended()) {
      continue;
    }
    NoteReaders(*slot);  // one of them may have been the last that had any
    if (slot->state.replica() != replica_ && KeepsTimeOf(*slot)) {
      CountAfresh(*slot);
    }
  }
}

void Calls::Hear(const std::string& replica) {
  if (is_caught_up_ && options_.has_replicas && replica != replica_) {
    replicas_.Hear(replica, Now());
  }
}

void Calls::SayPresence() {
  log::v1::ReplicaPresence presence;
  presence.set_replica(replica_);
  presence.set_leaves(is_draining_ && open_count_ == 0);
  absl::flat_hash_set<absl::string_view> names;
  for (const auto& [key, worker] : serving_) {
    if (worker->concurrent_max > 0) {
      names.insert(worker->names.begin(), worker->names.end());
    }
  }
  for (const absl::string_view name : names) {
    presence.add_names(std::string(name));
  }
  for (const auto& slot : slots_) {
    if (slot->readers > 0 && !slot->state.is_ended()) {
      presence.add_read_calls(std::string(slot->state.id().view()));
    }
  }
  absl::erase_if(come_, [&](auto& each) {
    loop_->AssertOnLoop();
    auto& [key, times_left] = each;
    const auto worker = serving_.find(key);
    if (worker != serving_.end()) {
      log::v1::ServingStream& stream = *presence.add_workers();
      stream.set_worker(key);
      stream.set_stream(worker->second->number);
    }
    return --times_left == 0 || worker == serving_.end();
  });
  presence_at_ = loop_->now();
  is_presence_due_ = false;
  Append(Alone(PresenceRecord(std::move(presence))), [](Calls&, const absl::StatusOr<log::Position>&) {});
}

void Calls::NotePresence(const log::v1::ReplicaPresence& presence) {
  const bool is_new = !replicas_.IsKnown(presence.replica());
  const absl::flat_hash_set<std::string> read_before = replicas_.ReadBy(presence.replica());
  replicas_.Note(presence, Now());
  is_presence_due_ = is_presence_due_ || is_new;
  for (const log::v1::ServingStream& stream : presence.workers()) {
    last_stream_ = std::max(last_stream_, stream.stream());
    NoteMovedAway(stream.worker(), stream.stream());
  }
  const auto note = [this](const std::string& id) {
    loop_->AssertOnLoop();
    Slot* const slot = Find(id);
    if (slot != nullptr && !slot->state.is_ended()) {
      NoteReaders(*slot);
    }
  };
  for (const std::string& id : read_before) {
    note(id);
  }
  for (const std::string& id : presence.read_calls()) {
    if (!read_before.contains(id)) {
      note(id);
    }
  }
}

void Calls::NoteMovedAway(const std::string& key, uint64_t stream) {
  const auto serving = serving_.find(key);
  if (serving == serving_.end() || serving->second->number >= stream) {
    return;
  }
  const WorkerHandle worker = serving->second;
  worker->stream->OnReplaced();
  RemoveNow(worker, Leave::kBroken);
}

uint64_t Calls::NextStream() {
  // The clock orders what has not heard of each other; where clocks differ too much for that, the worker opens one
  // more.
  last_stream_ = std::max(last_stream_ + 1, static_cast<uint64_t>(absl::ToUnixMicros(absl::Now())));
  return last_stream_;
}

}  // namespace bridge::calls
