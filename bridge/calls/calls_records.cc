// What the log says: how calls come to be what they are, and what this replica does then.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

#include "bridge/calls/calls.h"
#include "bridge/ops/logging.h"

namespace bridge::calls {
namespace {

// What a record counts for beside its texts: its place in the hubs' rings and here.
constexpr uint64_t kRecordOverheadBytes = 128;

constexpr absl::Duration kClockStepMax = absl::Seconds(1);

uint64_t BytesOf(const log::Entry& entry) {
  const log::Record& record = entry.record;
  return kRecordOverheadBytes + record.topic.size() + record.type.size() + record.data.size() + record.call.size();
}

std::string SubjectKeyOf(const Call& call) { return calls::SubjectKeyOf(call.issuer(), call.subject()); }

}  // namespace

// --- On the log's thread.

void Calls::OnEpoch(uint64_t epoch, uint64_t head) {
  PostArrival([epoch, head](Calls& calls) {
    calls.loop_->AssertOnLoop();
    calls.BeginEpoch(epoch, head);
  });
}

void Calls::OnCaughtUp() {
  PostArrival([](Calls& calls) {
    calls.loop_->AssertOnLoop();
    calls.CatchUp();
  });
}

void Calls::OnGap(uint64_t head, Missing why) {
  PostArrival([head, why](Calls& calls) {
    calls.loop_->AssertOnLoop();
    if (why == Missing::kUnreadable) {
      calls.followed_ = head;  // the calls around them are what the other records make of them
      return;
    }
    const bool was_caught_up = calls.is_caught_up_;
    calls.BeginEpoch(calls.epoch_, head);
    if (was_caught_up) {
      calls.CatchUp();
    }
  });
}

log::Follower::Flow Calls::OnEntries(absl::Span<const log::Entry> entries) {
  size_t bytes = 0;
  for (const log::Entry& entry : entries) {
    bytes += BytesOf(entry);
  }
  budget_.Add(bytes);
  PostArrival([arrived = Entries(entries.begin(), entries.end()), bytes](Calls& calls) mutable {
    calls.loop_->AssertOnLoop();
    calls.TakeEntries(std::move(arrived), bytes);
  });
  return budget_.Judge();
}

void Calls::PostArrival(Arrival arrival) {
  Post([posted = std::move(arrival)](Calls& calls) mutable {
    calls.loop_->AssertOnLoop();
    calls.inbox_.push_back(std::move(posted));
    calls.TakeArrivals();
  });
}

// --- On the loop.

void Calls::ResumeAnswers() {
  Post([](Calls& calls) {
    calls.loop_->AssertOnLoop();
    calls.are_answers_stalled_ = false;
    calls.TakeArrivals();
  });
}

void Calls::TakeArrivals() {
  while (!inbox_.empty() && !are_answers_stalled_) {
    Arrival arrival = std::move(inbox_.front());
    inbox_.pop_front();
    arrival(*this);
  }
  follow_waits_.OnFollowed(followed_);
}

void Calls::TakeEntries(Entries entries, size_t bytes) {
  Entries answers;
  for (log::Entry& entry : entries) {
    followed_ = std::max(followed_, entry.sequence);
    TakeEntry(entry, &answers);
  }
  if (!answers.empty() && answers_->OnEntries(answers) == Flow::kStall) {
    are_answers_stalled_ = true;
  }
  AckFollowed();
  if (budget_.Take(bytes) && log_ != nullptr) {
    log_->ResumeFollow();
  }
}

void Calls::TakeEntry(log::Entry& entry, Entries* answers) {
  absl::StatusOr<log::v1::CallRecord> parsed = ParseCallRecord(entry.record);
  if (!parsed.ok()) {
    ops::LogWarn("call_record_unreadable", {{"reason", parsed.status().message()}});
    return;
  }
  log::v1::CallRecord& what = *parsed;
  if (what.kind_case() == log::v1::CallRecord::kPresence) {
    if (what.presence().replica() != replica_) {
      NotePresence(what.presence());
    }
    return;
  }
  if (what.kind_case() == log::v1::CallRecord::kOpen) {
    TakeOpen(entry, std::move(*what.mutable_open()));
    return;
  }
  Slot* const slot = Find(entry.record.topic);
  if (slot == nullptr) {
    return;  // of a call that is forgotten, or of an open that was void
  }
  NoteKept(*slot, BytesOf(entry));
  const bool was_claimed = slot->state.is_claimed();
  const uint64_t held_before = slot->HeldBodyBytes();
  const bool is_valid = slot->state.Apply(what, entry);
  bytes_in_flight_ -= held_before - slot->HeldBodyBytes();
  switch (what.kind_case()) {
    case log::v1::CallRecord::kClaim:
      NoteClaim(*slot, what.claim(), is_valid, was_claimed);
      break;
    case log::v1::CallRecord::kRelease:
      slot->is_deciding = false;
      if (is_valid) {
        NoteReleased(*slot);
      }
      break;
    case log::v1::CallRecord::kAnswer:
      if (is_valid) {
        NoteAnswer(*slot);
        answers->push_back(std::move(entry));
      }
      break;
    case log::v1::CallRecord::kStop:
      slot->is_deciding = false;
      if (const auto stop = slot->state.stop(); is_valid && stop.has_value()) {
        NoteStopped(*slot, *stop);
      }
      break;
    case log::v1::CallRecord::kEnd:
      slot->is_deciding = false;
      if (is_valid) {
        NoteEnded(*slot, what.end(), entry);
        answers->push_back(std::move(entry));
      }
      break;
    default:
      break;
  }
  Reschedule(*slot);
}

void Calls::NoteKept(Slot& slot, uint64_t bytes) {
  slot.log_bytes += bytes;
  log_bytes_ += bytes;
  metrics_.log_bytes.Set(log_bytes_);
}

void Calls::TakeOpen(log::Entry& entry, log::v1::CallOpen open) {
  const std::string id = entry.record.topic;
  std::optional<Opening> opening;
  if (const auto found = openings_.find(id); found != openings_.end()) {
    opening = std::move(found->second);
    openings_.erase(found);
    CloseOpening(*opening);
  }
  const bool has_key = !open.key_fingerprint().empty();
  auto same = has_key ? keys_.find(open.key_fingerprint()) : keys_.end();
  if (same != keys_.end() && IsKeyFreeAt(*same->second, entry.record.time)) {
    Slot& former = *same->second;
    ForgetKey(former);
    Reschedule(former);
    same = keys_.end();
  }
  if (same != keys_.end()) {
    // Another one with this key stands before it in the log.
    if (opening.has_value()) {
      opening->done(Join(*same->second, open.body_fingerprint(), opening->is_async));
    }
    return;
  }
  if (slots_.contains(id)) {
    return;
  }
  Call state(id, entry.sequence, std::move(open));
  auto owned = std::make_unique<Slot>(this, std::move(state), Now());
  Slot& slot = *owned;
  slots_.insert(std::move(owned));
  NoteKept(slot, BytesOf(entry));
  Hear(slot.state.replica());
  slot.opened_at -= std::max(loop_->now() - entry.received, base::MonotonicClock::duration::zero());
  ++open_count_;
  metrics_.open.Set(open_count_);
  ++per_subject_[SubjectKeyOf(slot.state)];
  bytes_in_flight_ += slot.HeldBodyBytes();
  if (has_key) {
    keys_.emplace(slot.state.key_fingerprint(), &slot);
    slot.holds_key = true;
  }
  slot.unread_since = Now();
  if (opening.has_value()) {
    metrics_.opened.Add(1);
    slot.address = opening->address;
    ++per_address_[slot.address.get()];
    opening->done(ViewOf(slot, opening->is_async ? Access::kLook : Access::kRead));
  }
  Enqueue(slot);
  Reschedule(slot);
}

void Calls::NoteAnswer(Slot& slot) {
  if (slot.state.next_index() > slot.appended_index) {
    slot.ForgetAppended();
  }
  if (auto why = rejections_.Take(slot.state.id(), slot.state.next_index());
      why.has_value() && slot.worker != nullptr) {
    Ack(*slot.worker, slot, *std::move(why));
  }
  slot.quiet_since = Now();
  metrics_.events.Add(1);
  if (slot.state.next_index() == 1 && slot.worker != nullptr) {
    metrics_.first_event.Observe(Now() - slot.opened_at, 1);
  }
  if (slot.worker != nullptr && !slot.is_claiming) {
    NoteUnacked(slot);
  }
}

void Calls::NoteStopped(Slot& slot, StopReason reason) {
  slot.stopped_at = Now();
  if (slot.worker != nullptr && !slot.is_claiming) {
    TellStop(slot, reason);
  } else if (!slot.state.is_claimed() && KeepsTimeOf(slot)) {
    EndCall(slot, {.status = StatusAfter(reason), .message = std::string(slot.state.stop_message())});
  }
}

void Calls::NoteEnded(Slot& slot, const log::v1::CallEnd& end, const log::Entry& entry) {
  slot.ended_at = Now() - (loop_->now() - entry.received);
  rejections_.Erase(slot.state.id());
  Dequeue(slot);
  Unclaim(slot);
  if (slot.worker != nullptr) {
    if (slot.IsMoving() || (end.attempt() == 0 && !slot.is_claiming)) {
      slot.is_unacked = false;
      TellStop(slot, StopReason::kLost);
    } else if (end.attempt() != 0) {
      NoteUnacked(slot);
    }
  }
  Detach(slot);
  --open_count_;
  metrics_.open.Set(open_count_);
  Uncount(per_subject_, SubjectKeyOf(slot.state));
  if (!slot.address.get().empty()) {
    Uncount(per_address_, slot.address);
    slot.address = SharedText();
  }
  metrics_.ends[static_cast<size_t>(slot.state.end_status())].Add(1);
  NoteDrained();
}

void Calls::NoteUnacked(Slot& slot) {
  if (!std::exchange(slot.is_unacked, true)) {
    unacked_.emplace_back(&slot, slot.worker);
  }
}

void Calls::AckFollowed() {
  std::vector<CallAck> acks;
  acks.reserve(unacked_.size());
  const Worker* told = nullptr;
  const auto tell = [&] {
    if (told != nullptr && told->stream != nullptr && !acks.empty()) {
      told->stream->OnAcks(std::exchange(acks, {}));
    }
    acks.clear();
  };
  const auto unacked = std::exchange(unacked_, {});
  for (const auto& [slot, worker] : unacked) {
    // One that has moved meanwhile is told when it comes.
    if (std::exchange(slot->is_unacked, false) && (slot->worker == worker || slot->state.is_ended())) {
      if (worker.get() != told) {
        tell();
        told = worker.get();
      }
      acks.push_back(AckOf(*slot, absl::OkStatus()));
    }
  }
  tell();
}

void Calls::Uncount(Counts& counts, const std::string& key) {
  const auto found = counts.find(key);
  if (found != counts.end() && --found->second == 0) {
    counts.erase(found);
  }
}

void Calls::Forget(Slot& slot) {
  log_bytes_ -= slot.log_bytes;
  metrics_.log_bytes.Set(log_bytes_);
  ForgetKey(slot);
  slots_.erase(slots_.find(slot.state.id()));
}

bool Calls::IsKeyFreeAt(const Slot& slot, absl::Time time) const {
  // Clocks are set back a little now and then.
  const absl::Duration kept = options_.history - std::min(kClockStepMax, options_.history / 2);
  return slot.state.is_ended() && time - slot.state.end_time() >= kept;
}

void Calls::ForgetKey(Slot& slot) {
  if (std::exchange(slot.holds_key, false)) {
    keys_.erase(slot.state.key_fingerprint());
  }
}

}  // namespace bridge::calls
