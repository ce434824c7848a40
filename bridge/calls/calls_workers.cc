// Who answers calls: which worker gets which call, what it answers, and what becomes of its calls when it leaves.
#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "bridge/calls/calls.h"

namespace bridge::calls {
namespace {

// gRPC's numbers.
constexpr int32_t kOk = 0;
constexpr int32_t kUnavailable = 14;

// Presences that tell of a worker that has come.
constexpr int kTimesSaid = 3;

uint64_t BytesOf(const AnswerEvent& event) { return event.type.size() + event.data.size(); }

}  // namespace

bool Calls::HasWorkerFor(absl::string_view name) const {
  return replicas_.HasWorkerFor(name) || std::ranges::any_of(serving_, [name](const auto& each) {
           return each.second->concurrent_max > 0 && each.second->names.contains(name);
         });
}

// --- Coming and going.

void Calls::ServeNow(const WorkerHandle& worker, Serve serve) {
  if (worker->stream == nullptr) {
    return;  // it has left meanwhile
  }
  const std::string key = absl::StrCat(worker->publisher, "\n", serve.worker_id);
  if (!worker->key.empty() && worker->key != key) {
    RemoveServing(worker);
  }
  worker->key = key;
  worker->names = {std::make_move_iterator(serve.names.begin()), std::make_move_iterator(serve.names.end())};
  worker->concurrent_max = serve.max_concurrent;
  WorkerHandle& current = serving_[key];
  if (current != worker) {
    if (current != nullptr && current->stream != nullptr) {
      std::exchange(current->stream, nullptr)->OnReplaced();
    }
    current = worker;
    worker->number = NextStream();
    come_[key] = kTimesSaid;
  }
  metrics_.workers.Set(serving_.size());
  AssignWaitingTo(worker);
  is_presence_due_ = true;
  AwaitTakeOver(worker, std::move(serve.held));
}

void Calls::AwaitTakeOver(const WorkerHandle& worker, std::vector<Serve::Held> held) {
  if (!is_caught_up_) {
    untaken_.emplace_back(worker, std::move(held));  // tried again by the tick
    return;
  }
  AwaitHead([worker, listed = std::move(held)](Calls& calls, const absl::Status& status) mutable {
    calls.loop_->AssertOnLoop();
    if (worker->stream == nullptr) {
      return;  // it has left meanwhile
    }
    if (status.ok()) {
      calls.TakeOver(worker, listed);
    } else {
      calls.untaken_.emplace_back(worker, std::move(listed));  // tried again by the tick
    }
  });
}

void Calls::TakeOver(const WorkerHandle& worker, const std::vector<Serve::Held>& held) {
  absl::flat_hash_set<Slot*> kept;
  for (const Serve::Held& each : held) {
    Slot* const slot = Find(each.call_id);
    if (slot == nullptr || slot->state.is_ended() || !slot->state.is_claimed() || slot->state.worker() != worker->key ||
        slot->state.attempt() != each.attempt) {
      worker->stream->OnStop(each.call_id, each.attempt, StopReason::kLost);
      continue;
    }
    kept.insert(slot);
    if (slot->worker == worker) {
      if (!slot->is_claiming) {
        Ack(*worker, *slot, absl::OkStatus());  // it has said so again on the same stream
      }
      continue;
    }
    slot->appended_index = slot->state.next_index();
    if (options_.has_replicas) {
      // It moves here, and no claim for an older stream counts from then on. What is appended on its way is not void.
      ClaimFor(*slot, worker);
      continue;
    }
    Attach(*slot, worker);
    slot->worker_lost_at.reset();
    slot->quiet_since = Now();
    Ack(*worker, *slot, absl::OkStatus());
    if (const auto stop = slot->state.stop()) {
      worker->stream->OnStop(each.call_id, each.attempt, *stop);
    }
    Reschedule(*slot);
  }
  const auto claimed = claims_.find(worker->key);
  if (claimed == claims_.end()) {
    return;
  }
  const std::vector<Slot*> all(claimed->second.begin(), claimed->second.end());
  for (Slot* const slot : all) {
    if (!kept.contains(slot) && slot->worker != worker) {
      LoseWorker(*slot, "the worker has come back without the call");
    }
  }
}

void Calls::RemoveServing(const WorkerHandle& worker) {
  const auto serving = serving_.find(worker->key);
  if (serving != serving_.end() && serving->second == worker) {
    serving_.erase(serving);
  }
  metrics_.workers.Set(serving_.size());
  is_presence_due_ = true;
}

void Calls::RemoveNow(const WorkerHandle& worker, Leave leave) {
  worker->stream = nullptr;
  RemoveServing(worker);
  const auto claimed = claims_.find(worker->key);
  if (claimed == claims_.end()) {
    return;
  }
  const std::vector<Slot*> all(claimed->second.begin(), claimed->second.end());
  for (Slot* const slot : all) {
    if (slot->worker != worker || slot->is_claiming) {
      continue;
    }
    Detach(*slot);
    slot->worker_lost_at = Now();
    if (leave == Leave::kHandsBack) {
      LoseWorker(*slot, "the worker has ended its stream");
    }
    Reschedule(*slot);
  }
}

// --- Answers.

CallAck Calls::AckOf(const Slot& slot, absl::Status status) {
  return {.id = slot.state.id(),
          .attempt = slot.state.attempt(),
          .next_index = slot.state.next_index(),
          .status = std::move(status)};
}

void Calls::Ack(const Worker& worker, const Slot& slot, absl::Status status) {
  if (worker.stream != nullptr) {
    worker.stream->OnAck(AckOf(slot, std::move(status)));
  }
}

absl::Status Calls::CheckHas(const Worker& worker, const CallUpdate& update, const Slot* slot) const {
  if (slot == nullptr) {
    return absl::NotFoundError("there is no such call, or it is over");
  }
  if (slot->state.is_ended()) {
    return absl::AbortedError("the call has ended");
  }
  if (slot->worker.get() != &worker || slot->is_claiming || slot->state.attempt() != update.attempt) {
    return absl::AbortedError(
        "the call is not this worker's, or not with this attempt; list it in Serve.held after a reconnect");
  }
  if (update.first_index > slot->appended_index) {
    return absl::OutOfRangeError(
        absl::StrCat("first_index ", update.first_index, ": the next event is ", slot->appended_index));
  }
  return absl::OkStatus();
}

std::optional<EndOf> Calls::EndByWorker(const Slot& slot, CallUpdate::End end) const {
  EndOf how = {.status = end.code == kOk ? EndStatus::kOk : EndStatus::kFailed,
               .code = end.code,
               .message = std::move(end.message),
               .usage = std::move(end.usage)};
  if (const auto stop = slot.state.stop()) {
    how.status = StatusAfter(*stop);
    if (how.message.empty()) {
      how.message = std::string(slot.state.stop_message());
    }
  } else if (end.code == kUnavailable && slot.appended_index == 0) {
    return std::nullopt;
  }
  return how;
}

void Calls::UpdateNow(const WorkerHandle& worker, std::vector<CallUpdate> updates, absl::AnyInvocable<void()> taken) {
  Batch batch;
  batch.records.reserve(updates.size());
  batch.sent.reserve(updates.size());
  for (CallUpdate& update : updates) {
    TakeUpdate(worker, std::move(update), &batch);
  }
  if (batch.records.empty()) {
    taken();
    return;
  }
  Append(std::move(batch.records), [worker, sent = std::move(batch.sent), done = std::move(taken)](
                                       Calls& calls, const absl::StatusOr<log::Position>& last) mutable {
    calls.loop_->AssertOnLoop();
    calls.NoteAppended(worker, sent, last.status());
    if (!last.ok()) {
      done();
      return;
    }
    calls.AwaitFollowed(*last, [answer = std::move(done)](Calls&, const absl::Status&) mutable { answer(); });
  });
}

void Calls::NoteAppended(const WorkerHandle& worker, const std::vector<Sent>& sent, const absl::Status& status) {
  for (const Sent& each : sent) {
    Slot* const slot = Find(each.call_id);
    if (slot == nullptr) {
      continue;
    }
    slot->appended_bytes -= std::min(each.bytes, slot->appended_bytes);
    if (!status.ok()) {
      slot->appended_index = slot->state.next_index();
      Ack(*worker, *slot, absl::UnavailableError(status.message()));
    }
  }
}

void Calls::TakeUpdate(const WorkerHandle& worker, CallUpdate update, Batch* batch) {
  Slot* const slot = Find(update.call_id);
  const absl::Status may = CheckHas(*worker, update, slot);
  if (!may.ok()) {
    if (worker->stream != nullptr) {
      const bool is_its = slot != nullptr && slot->state.attempt() == update.attempt;
      worker->stream->OnAck({.id = std::move(update.call_id),
                             .attempt = update.attempt,
                             .next_index = is_its ? slot->state.next_index() : 0,
                             .status = may});
    }
    return;
  }
  slot->quiet_since = Now();
  absl::Status rejected = std::move(update.rejected);
  uint64_t bytes = 0;
  const size_t records_before = batch->records.size();
  const size_t known = std::min<uint64_t>(slot->appended_index - update.first_index, update.events.size());
  for (size_t i = known; i < update.events.size(); ++i) {
    AnswerEvent& event = update.events[i];
    if (slot->state.answer_bytes() + slot->appended_bytes + BytesOf(event) > options_.answer_bytes_max) {
      rejected = absl::ResourceExhaustedError(
          absl::StrCat("the answer is larger than calls.max_answer_bytes, ", options_.answer_bytes_max));
      StopCall(*slot, StopReason::kLimit, "the answer was larger than calls.max_answer_bytes");
      break;
    }
    bytes += BytesOf(event);
    slot->appended_bytes += BytesOf(event);
    batch->records.push_back(
        AnswerRecord(update.call_id, {.attempt = update.attempt, .index = slot->appended_index++}, std::move(event)));
  }
  if (update.has_end && rejected.ok()) {
    if (auto end = EndByWorker(*slot, std::move(update.end))) {
      batch->records.push_back(
          WorkersEndRecord(update.call_id, {.attempt = update.attempt, .index = slot->appended_index}, *end));
    } else {
      Detach(*slot);
      LoseWorker(*slot, "the worker could not take it");
    }
  }
  const bool is_stored = batch->records.size() > records_before;
  if (!rejected.ok()) {
    Ack(*worker, *slot, rejected);
  } else if (!is_stored && known > 0) {
    Ack(*worker, *slot, absl::OkStatus());
  }
  Reschedule(*slot);
  if (is_stored) {
    batch->sent.push_back({.call_id = std::move(update.call_id), .bytes = bytes});
  }
}

}  // namespace bridge::calls
