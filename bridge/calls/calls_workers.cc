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
    if (options_.has_replicas) {
      come_[key] = kTimesSaid;
    }
  }
  metrics_.workers.Set(serving_.size());
  is_presence_due_ = true;
  ++worker->serves;
  worker->held = std::move(serve.held);
  if (!std::exchange(worker->is_coming, true)) {
    AwaitTakeOver(worker);
  }
}

void Calls::AwaitTakeOver(const WorkerHandle& worker) {
  if (!is_caught_up_) {
    untaken_.push_back(worker);  // tried again by the tick
    return;
  }
  follow_waits_.AwaitHead([this, worker, asked = worker->serves](const absl::Status& status) {
    loop_->AssertOnLoop();
    if (worker->stream == nullptr) {
      return;  // it has left meanwhile
    }
    if (!status.ok()) {
      untaken_.push_back(worker);  // tried again by the tick
    } else if (worker->serves != asked) {
      AwaitTakeOver(worker);  // what it has said since then may name newer claims
    } else {
      TakeOver(worker);
    }
  });
}

void Calls::TakeOver(const WorkerHandle& worker) {
  worker->is_coming = false;
  absl::flat_hash_set<Slot*> kept;
  for (const Serve::Held& each : std::exchange(worker->held, {})) {
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
    slot->ForgetAppended();
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
  if (const auto claimed = claims_.find(worker->key); claimed != claims_.end()) {
    const std::vector<Slot*> all(claimed->second.begin(), claimed->second.end());
    for (Slot* const slot : all) {
      if (!kept.contains(slot) && slot->worker != worker) {
        LoseWorker(*slot, "the worker has come back without the call");
      }
    }
  }
  AssignWaitingTo(worker);
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
  return {.id = std::string(slot.state.id().view()),
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

void Calls::UpdateNow(const WorkerHandle& worker, std::vector<CallUpdate> updates,
                      absl::AnyInvocable<void(bool)> taken) {
  Batch batch;
  batch.records.reserve(updates.size());
  batch.call_ids.reserve(updates.size());
  for (CallUpdate& update : updates) {
    TakeUpdate(worker, std::move(update), &batch);
  }
  if (batch.records.empty()) {
    taken(batch.is_taken);
    return;
  }
  Append(std::move(batch.records),
         [worker, call_ids = std::move(batch.call_ids), is_taken = batch.is_taken, done = std::move(taken)](
             Calls& calls, const absl::StatusOr<log::Position>& last) mutable {
           calls.loop_->AssertOnLoop();
           if (!last.ok()) {
             calls.NoteNotAppended(*worker, call_ids, last.status());
             done(false);
             return;
           }
           calls.follow_waits_.AwaitFollowed(
               *last, calls.followed(),
               [answer = std::move(done), is_taken](const absl::Status&) mutable { answer(is_taken); });
         });
}

void Calls::NoteNotAppended(const Worker& worker, const std::vector<std::string>& call_ids, const absl::Status& why) {
  for (const std::string& id : call_ids) {
    if (Slot* const slot = Find(id)) {
      slot->ForgetAppended();
      rejections_.Erase(id);
      Ack(worker, *slot, absl::UnavailableError(why.message()));
    }
  }
}

absl::Status Calls::CheckRoom(const Slot& slot, uint64_t bytes) const {
  if (slot.appended_bytes + bytes > options_.answer_bytes_max) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the answer is larger than calls.max_answer_bytes, ", options_.answer_bytes_max));
  }
  // New calls are refused before. What is open may grow, but not until the log has to forget some of it.
  if (log_bytes_ > options_.log_bytes_max + options_.log_bytes_max / 2) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the calls that are kept take half as much again as calls.log.max_bytes, ", options_.log_bytes_max));
  }
  return absl::OkStatus();
}

void Calls::Reject(const Worker& worker, const Slot& slot, absl::Status why) {
  if (slot.state.next_index() == slot.appended_index) {
    Ack(worker, slot, std::move(why));
  } else {
    rejections_.Put(slot.state.id(), slot.appended_index, std::move(why));
  }
}

void Calls::TakeUpdate(const WorkerHandle& worker, CallUpdate update, Batch* batch) {
  Slot* const slot = Find(update.call_id);
  const absl::Status may = CheckHas(*worker, update, slot);
  if (!may.ok()) {
    batch->is_taken = batch->is_taken && worker->stream != nullptr;
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
  const size_t records_before = batch->records.size();
  const size_t known = std::min<uint64_t>(slot->appended_index - update.first_index, update.events.size());
  for (size_t i = known; i < update.events.size(); ++i) {
    AnswerEvent& event = update.events[i];
    if (absl::Status full = CheckRoom(*slot, BytesOf(event)); !full.ok()) {
      StopCall(*slot, StopReason::kLimit, full.message());
      rejected = std::move(full);
      break;
    }
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
    Reject(*worker, *slot, std::move(rejected));
  } else if (!is_stored && known > 0) {
    Ack(*worker, *slot, absl::OkStatus());
  }
  Reschedule(*slot);
  if (is_stored) {
    batch->call_ids.push_back(std::move(update.call_id));
  }
}

}  // namespace bridge::calls
