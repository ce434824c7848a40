// What time does to calls: how long they wait, last and are kept, who reads them, and which replica sees to it.
#include <algorithm>
#include <utility>

#include "bridge/calls/calls.h"

namespace bridge::calls {
namespace {

using Duration = base::MonotonicClock::duration;
using base::MonotonicTime;

// What could not be appended is tried again after it.
constexpr Duration kTryAgain = std::chrono::milliseconds(200);
// After the end of the drain's window, for the ends of calls to get into the log.
constexpr Duration kToEndCalls = std::chrono::seconds(1);

// A table of so few is not worth being made smaller.
constexpr size_t kCapacityKept = 1024;

Duration Chrono(absl::Duration duration) { return absl::ToChronoNanoseconds(duration); }

}  // namespace

void Slot::OnTimer() {
  calls->loop_->AssertOnLoop();
  calls->OnTimeOf(*this);
}

MonotonicTime Calls::Now() const {
  const MonotonicTime now = std::min(loop_->now(), ticked_at_ + kTickLateMax);
  return now - away_total_ - (away_since_.has_value() ? now - *away_since_ : Duration::zero());
}

MonotonicTime Calls::DeadlineOf(const Slot& slot) const {
  return slot.opened_at + Chrono(std::min(slot.state.timeout(), options_.max_duration));
}

MonotonicTime Calls::ForgottenAt(const Slot& slot) const {
  return std::max(slot.opened_at + Chrono(options_.max_duration), slot.ended_at) + Chrono(options_.history);
}

MonotonicTime Calls::SilentTooLongAt(const Slot& slot) const {
  return slot.quiet_since + Chrono(slot.state.next_index() == 0 ? options_.first_event_timeout : options_.idle_timeout);
}

void Calls::CountAfresh(Slot& slot) {
  const MonotonicTime now = Now();
  slot.quiet_since = now;
  slot.stopped_at = now;
  if (!IsRead(slot)) {
    slot.unread_since = now;
  }
  if (slot.state.is_claimed() && slot.worker == nullptr) {
    slot.worker_lost_at = now;
  }
  Reschedule(slot);
}

bool Calls::KeepsTimeOf(const Slot& slot) const {
  return !options_.has_replicas || slot.state.replica() == replica_ || !replicas_.IsThere(slot.state.replica());
}

// --- Readers.

bool Calls::IsRead(const Slot& slot) const { return slot.readers > 0 || replicas_.HasReadersOf(slot.state.id()); }

bool Calls::StopsAtOnce(const Slot& slot) {
  return slot.state.on_disconnect() == OnDisconnect::kCancel && !slot.state.is_async();
}

void Calls::NoteReaders(Slot& slot) {
  is_presence_due_ = is_presence_due_ || slot.readers <= 1;
  if (IsRead(slot)) {
    slot.unread_since.reset();
  } else if (!slot.unread_since.has_value()) {
    slot.unread_since = Now();
  }
  Reschedule(slot);
}

// --- Deadlines.

std::optional<MonotonicTime> Calls::NextDeadline(const Slot& slot) const {
  const Call& call = slot.state;
  if (call.is_ended()) {
    return slot.holds_key ? slot.ended_at + Chrono(options_.history) : ForgottenAt(slot);
  }
  if (!is_caught_up_ || slot.is_deciding) {
    return std::nullopt;
  }
  std::optional<MonotonicTime> next;
  const auto consider = [&next](MonotonicTime time) { next = next.has_value() ? std::min(*next, time) : time; };
  if (slot.assigns_at.has_value()) {
    consider(*slot.assigns_at);
  }
  if (!KeepsTimeOf(slot)) {
    return next;
  }
  if (call.stop().has_value()) {
    consider(slot.stopped_at + (call.is_claimed() ? Chrono(options_.cancel_timeout) : Duration::zero()));
    return next;
  }
  consider(DeadlineOf(slot));
  if (!call.is_claimed()) {
    consider(slot.quiet_since + Chrono(options_.queue_timeout));
  } else if (const auto lost_at = slot.WorkerLostAt()) {
    consider(*lost_at + Chrono(options_.worker_grace));
  } else {
    consider(SilentTooLongAt(slot));
  }
  // Its readers are sent elsewhere by this process's end.
  if (slot.unread_since.has_value() && call.on_disconnect() != OnDisconnect::kContinue && !IsLeavingCalls()) {
    // The replica where the last reader has left sees to what stops at once; others only guess who reads.
    const Duration at_once = options_.has_replicas ? Replicas::kSilenceMax : Duration::zero();
    consider(*slot.unread_since + (StopsAtOnce(slot) ? at_once : Chrono(options_.grace)));
  }
  return next;
}

void Calls::Reschedule(Slot& slot) {
  const std::optional<MonotonicTime> next = NextDeadline(slot);
  if (!next.has_value()) {
    loop_->Cancel(slot);
    return;
  }
  loop_->Schedule(slot, std::max(*next - Now(), away_since_.has_value() ? kTryAgain : Duration::zero()));
}

void Calls::OnTimeOf(Slot& slot) {
  const MonotonicTime now = Now();
  const Call& call = slot.state;
  if (call.is_ended()) {
    if (slot.holds_key && now >= slot.ended_at + Chrono(options_.history)) {
      ForgetKey(slot);
    }
    if (now >= ForgottenAt(slot)) {
      Forget(slot);
    } else {
      Reschedule(slot);
    }
    return;
  }
  if (slot.assigns_at.has_value() && now >= *slot.assigns_at) {
    slot.assigns_at.reset();
    if (slot.IsMoving()) {
      AppendClaim(slot);
    } else {
      Assign(slot);
    }
  }
  const std::optional<MonotonicTime> next = NextDeadline(slot);
  if (!next.has_value() || now < *next) {
    Reschedule(slot);
    return;
  }
  if (const auto stop = call.stop()) {
    EndCall(slot, {.status = StatusAfter(*stop), .message = std::string(call.stop_message())});
  } else if (now >= DeadlineOf(slot)) {
    StopCall(slot, StopReason::kDeadline, "the call took longer than it may");
  } else if (!call.is_claimed() && now >= slot.quiet_since + Chrono(options_.queue_timeout)) {
    EndCall(slot,
            call.attempt() == 1
                ? EndOf{.status = EndStatus::kNoWorker, .message = "no worker was free within calls.queue_timeout"}
                : EndOf{.status = EndStatus::kWorkerLost, .message = "the worker was lost, and no other was free"},
            call.turn());
  } else if (const auto lost_at = slot.WorkerLostAt(); lost_at && now >= *lost_at + Chrono(options_.worker_grace)) {
    LoseWorker(slot, "the worker's stream broke, and it did not come back");
  } else if (slot.unread_since.has_value()) {
    StopUnread(slot, now);
  } else {
    StopSilent(slot);
  }
}

void Calls::StopUnread(Slot& slot, MonotonicTime now) {
  if (slot.state.is_claimed() && !slot.WorkerLostAt().has_value() && now >= SilentTooLongAt(slot)) {
    StopSilent(slot);
  } else {
    StopCall(slot, StopReason::kAbandoned, "nobody reads the answer");
  }
}

void Calls::StopSilent(Slot& slot) {
  StopCall(slot, StopReason::kDeadline,
           slot.state.next_index() == 0 ? "the worker sent nothing within calls.first_event_timeout"
                                        : "the worker sent nothing for calls.idle_timeout");
}

// --- What is decided here is appended; it is so when it has been followed.

void Calls::Decide(Slot& slot, std::vector<log::Record> records) {
  slot.is_deciding = true;
  loop_->Cancel(slot);
  Append(std::move(records), [id = slot.state.id()](Calls& calls, const absl::StatusOr<log::Position>& decided) {
    calls.loop_->AssertOnLoop();
    Slot* const found = calls.Find(id);
    if (!decided.ok() && found != nullptr && found->is_deciding) {
      found->is_deciding = false;
      calls.loop_->Schedule(*found, kTryAgain);
    }
  });
}

void Calls::StopCall(Slot& slot, StopReason reason, absl::string_view message) {
  if (!slot.is_deciding && !slot.state.stop().has_value()) {
    Decide(slot, Alone(StopRecord(slot.state.id(), reason, message)));
  }
}

void Calls::EndCall(Slot& slot, const EndOf& end, std::optional<uint32_t> turn) {
  Decide(slot, Alone(EndRecord(slot.state.id(), end, turn)));
}

void Calls::LoseWorker(Slot& slot, absl::string_view why) {
  if (slot.is_deciding || slot.state.is_ended()) {
    return;
  }
  const Call& call = slot.state;
  if (const auto stop = call.stop()) {
    EndCall(slot, {.status = StatusAfter(*stop), .message = std::string(call.stop_message())});
  } else if (call.next_index() == 0 && slot.appended_index == 0 && call.attempt() < options_.attempts_max) {
    Decide(slot, Alone(ReleaseRecord(call.id(), call.attempt(), call.turn())));
  } else {
    EndCall(slot, {.status = EndStatus::kWorkerLost, .message = std::string(why)}, call.turn());
  }
}

void Calls::Shrink() {
  const auto shrink = [](auto& table) {
    if (table.capacity() > kCapacityKept && table.size() <= table.capacity() / 8) {
      table.rehash(0);
    }
  };
  shrink(slots_);
  shrink(openings_);
  shrink(keys_);
  shrink(per_subject_);
  shrink(per_address_);
  for (auto& [worker, claimed] : claims_) {
    shrink(claimed);
  }
}

// --- The end.

void Calls::Drain(absl::Duration window, absl::AnyInvocable<void()> done) {
  Post([window, drained = std::move(done)](Calls& calls) mutable {
    calls.loop_->AssertOnLoop();
    calls.is_draining_ = true;
    calls.is_presence_due_ = true;
    if (calls.options_.is_log_durable) {
      if (calls.log_ != nullptr) {
        calls.StandStill();
      }
      drained();
      return;
    }
    calls.on_drained_ = std::move(drained);
    calls.drain_end_ = calls.loop_->now() + Chrono(window);
    calls.NoteDrained();
  });
}

void Calls::EndAllCalls() {
  if (on_drained_ == nullptr || !drain_end_.has_value()) {
    return;
  }
  if (loop_->now() >= *drain_end_ + kToEndCalls) {
    std::exchange(on_drained_, nullptr)();
    return;
  }
  for (const auto& slot : slots_) {
    if (slot->state.is_ended() || slot->is_deciding) {
      continue;
    }
    std::vector<log::Record> records;
    records.push_back(StopRecord(slot->state.id(), StopReason::kShutdown, "the bridge stops"));
    records.push_back(EndRecord(slot->state.id(),
                                {.status = EndStatus::kLost, .message = "the bridge stopped, and its log with it"}));
    Decide(*slot, std::move(records));
  }
}

void Calls::NoteDrained() {
  if (on_drained_ != nullptr && open_count_ == 0) {
    std::exchange(on_drained_, nullptr)();
  }
}

}  // namespace bridge::calls
