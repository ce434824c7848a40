// Which worker has a call: how it waits for one, is claimed, handed over and released.
#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/random/random.h"

#include "bridge/calls/calls.h"

namespace bridge::calls {
namespace {

// The replica that got the POST claims it first.
constexpr absl::Duration kOthersClaimAfter = absl::Milliseconds(20);

// A claim that failed is tried again after it.
constexpr auto kClaimAgain = std::chrono::milliseconds(200);

}  // namespace

void Calls::Enqueue(Slot& slot) {
  slot.quiet_since = Now();
  waiting_[slot.state.name()].emplace(slot.state.opened_sequence(), &slot);
  metrics_.queued.Set(++waiting_count_);
  if (KeepsTimeOf(slot)) {
    Assign(slot);
  } else {
    slot.assigns_at = Now() + absl::ToChronoNanoseconds(kOthersClaimAfter * absl::Uniform(random_, 1.0, 2.0));
  }
}

void Calls::Dequeue(Slot& slot) {
  const auto queue = waiting_.find(slot.state.name());
  if (queue == waiting_.end() || queue->second.erase(slot.state.opened_sequence()) == 0) {
    return;
  }
  if (queue->second.empty()) {
    waiting_.erase(queue);
  }
  metrics_.queued.Set(--waiting_count_);
}

void Calls::Assign(Slot& slot) {
  if (slot.worker != nullptr || slot.state.is_claimed() || slot.state.stop().has_value() || !MayClaim()) {
    return;
  }
  // The one that has most room left, in proportion.
  WorkerHandle best;
  for (const auto& [key, worker] : serving_) {
    const auto load = [&slot](const Worker& each) {
      // One that has given it back gets it where no other has room.
      const double given_back = each.key == slot.state.worker() ? 1 : 0;
      return given_back + static_cast<double>(each.calls) / static_cast<double>(each.concurrent_max);
    };
    if (worker->HasRoomFor(slot.state.name()) && (best == nullptr || load(*worker) < load(*best))) {
      best = worker;
    }
  }
  if (best != nullptr) {
    ClaimFor(slot, best);
  }
}

void Calls::AssignWaitingTo(const WorkerHandle& worker) {
  if (!worker->HasRoom() || waiting_count_ == 0 || !MayClaim()) {
    return;
  }
  std::vector<Slot*> candidates;
  for (const std::string& name : worker->names) {
    const auto queue = waiting_.find(name);
    if (queue == waiting_.end()) {
      continue;
    }
    size_t taken = 0;
    for (const auto& [sequence, slot] : queue->second) {
      const bool may_try = !slot->assigns_at.has_value() || *slot->assigns_at <= Now();
      if (slot->worker == nullptr && may_try && taken++ < worker->concurrent_max) {
        candidates.push_back(slot);
      }
    }
  }
  std::ranges::sort(candidates, {}, [](const Slot* slot) { return slot->state.opened_sequence(); });
  for (Slot* const slot : candidates) {
    if (!worker->HasRoom()) {
      return;
    }
    if (!slot->state.stop().has_value()) {
      ClaimFor(*slot, worker);
    }
  }
}

void Calls::Attach(Slot& slot, const WorkerHandle& worker) {
  Detach(slot);
  slot.worker = worker;
  ++worker->calls;
}

void Calls::Detach(Slot& slot) {
  slot.is_claiming = false;
  if (const WorkerHandle worker = std::exchange(slot.worker, nullptr)) {
    --worker->calls;
    AssignWaitingTo(worker);
  }
}

void Calls::ClaimFor(Slot& slot, const WorkerHandle& worker) {
  Attach(slot, worker);
  AppendClaim(slot);
}

void Calls::AppendClaim(Slot& slot) {
  slot.is_claiming = true;
  log::v1::CallClaim claim;
  claim.set_attempt(slot.state.attempt());
  claim.set_worker(slot.worker->key);
  claim.set_replica(replica_);
  claim.set_stream(slot.worker->number);
  Append(Alone(ClaimRecord(slot.state.id(), std::move(claim))),
         [id = slot.state.id()](Calls& calls, const absl::StatusOr<log::Position>& claimed) {
           calls.loop_->AssertOnLoop();
           Slot* const found = calls.Find(id);
           if (claimed.ok() || found == nullptr || !found->is_claiming) {
             return;
           }
           found->assigns_at = calls.Now() + kClaimAgain;
           // It may be in the log all the same (NoteClaim sees to that).
           if (!found->IsMoving() || found->worker->stream == nullptr) {
             calls.Detach(*found);
           }
           calls.Reschedule(*found);
         });
}

// --- What the log says of claims.

void Calls::NoteClaim(Slot& slot, const log::v1::CallClaim& claim, bool is_valid, bool was_claimed) {
  last_stream_ = std::max(last_stream_, claim.stream());
  if (!is_valid) {
    const bool is_own = claim.replica() == replica_ && slot.is_claiming && slot.worker->key == claim.worker() &&
                        slot.worker->number == claim.stream();
    if (is_own) {
      Detach(slot);  // another was faster
      if (!slot.state.is_ended()) {
        Assign(slot);
      }
    }
    return;
  }
  if (!was_claimed) {
    Dequeue(slot);
  }
  claims_[claim.worker()].insert(&slot);
  slot.quiet_since = Now();
  slot.worker_lost_at.reset();
  Hear(claim.replica());
  if (claim.replica() == replica_) {
    NoteOwnClaim(slot, claim.stream(), was_claimed);
    return;
  }
  NoteMovedAway(claim.worker(), claim.stream());
  const bool comes_here = slot.IsMoving() && slot.worker->number > claim.stream();
  if (!comes_here) {
    Detach(slot);
  }
}

void Calls::NoteOwnClaim(Slot& slot, uint64_t stream, bool was_claimed) {
  // It counts, whatever was answered when it was appended, and whatever this replica has tried since then.
  const auto serving = serving_.find(slot.state.worker());
  const WorkerHandle worker = serving != serving_.end() ? serving->second : nullptr;
  if (worker != nullptr && was_claimed && worker->number != stream) {
    // For an older stream. What the newer one holds it has said, or is about to say.
    if (slot.worker != worker) {
      Detach(slot);
      slot.worker_lost_at = Now();
    }
    return;
  }
  if (worker == nullptr) {
    Detach(slot);
    slot.worker_lost_at = Now();
    return;
  }
  if (slot.worker != worker) {
    Attach(slot, worker);
  }
  slot.is_claiming = false;
  if (!was_claimed) {
    HandOver(slot);
    return;
  }
  Ack(*worker, slot, absl::OkStatus());
  if (const auto stop = slot.state.stop()) {
    TellStop(slot, *stop);
  }
}

void Calls::HandOver(Slot& slot) {
  const CallInput& input = *slot.state.input();
  AssignedCall call = {.id = std::string(slot.state.id().view()),
                       .attempt = slot.state.attempt(),
                       .name = slot.state.name(),
                       .body = input.body,
                       .content_type = input.content_type,
                       .subject = slot.state.subject(),
                       .metadata = input.metadata,
                       .timeout = absl::FromChrono(DeadlineOf(slot) - Now())};
  metrics_.queue_wait.Observe(Now() - slot.opened_at, 1);
  if (slot.worker->stream != nullptr) {
    slot.worker->stream->OnCall(std::move(call));
  }
  if (const auto stop = slot.state.stop()) {
    TellStop(slot, *stop);
  }
}

void Calls::NoteReleased(Slot& slot) {
  Unclaim(slot);
  if (!slot.is_claiming && slot.worker != nullptr && slot.worker->stream != nullptr) {
    // Another replica did not find it among what this worker holds.
    slot.worker->stream->OnStop(slot.state.id(), slot.state.attempt() - 1, StopReason::kLost);
  }
  Detach(slot);
  slot.worker_lost_at.reset();
  slot.ForgetAppended();
  rejections_.Erase(slot.state.id());
  Enqueue(slot);
}

void Calls::Unclaim(Slot& slot) {
  const auto claimed = claims_.find(slot.state.worker());
  if (claimed != claims_.end()) {
    claimed->second.erase(&slot);
    if (claimed->second.empty()) {
      claims_.erase(claimed);
    }
  }
}

void Calls::TellStop(const Slot& slot, StopReason reason) {
  if (slot.worker != nullptr && slot.worker->stream != nullptr) {
    slot.worker->stream->OnStop(slot.state.id(), slot.state.attempt(), reason);
  }
}

}  // namespace bridge::calls
