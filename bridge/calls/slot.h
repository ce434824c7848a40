#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"

#include "bridge/base/clock.h"
#include "bridge/calls/call.h"
#include "bridge/calls/worker.h"
#include "bridge/loop/timer_wheel.h"

namespace bridge::calls {

class Calls;

// A call and what this replica does about it.
struct Slot final : loop::Timer {
  Slot(Calls* its_calls, Call its_state, base::MonotonicTime now)
      : calls(its_calls), state(std::move(its_state)), opened_at(now), quiet_since(now) {}

  // What it counts for in bytes_in_flight_.
  uint64_t HeldBodyBytes() const { return state.input() == nullptr ? 0 : state.input()->body.size(); }
  // What has been appended and not followed is not in the log, or was another worker's.
  void ForgetAppended() {
    appended_index = state.next_index();
    appended_bytes = state.answer_bytes();
  }
  // Its worker has it already, and comes here with it.
  bool IsMoving() const { return is_claiming && state.is_claimed() && worker->key == state.worker(); }
  // When its worker's stream broke, where no other one of it is about to have the call.
  base::OptionalTime WorkerLostAt() const { return is_claiming ? base::OptionalTime() : worker_lost_at; }

  Calls* const calls;
  Call state;
  // What limits.calls_per_address counts it by.
  SharedText address;
  // Has it, or is claiming it.
  std::shared_ptr<Worker> worker;
  bool is_claiming = false;
  // A stop, release or end has been appended and not been followed.
  bool is_deciding = false;
  // It stands in unacked_.
  bool is_unacked = false;
  // Its idempotency key stands for it.
  bool holds_key = false;
  uint32_t readers = 0;
  // Events of the attempt that have been appended, followed or not, and their bytes.
  uint64_t appended_index = 0;
  uint64_t appended_bytes = 0;
  // Of its records: what it counts for in log_bytes_.
  uint64_t log_bytes = 0;

  // All on the calls' clock (Now).
  base::MonotonicTime opened_at;
  // It waits for a worker, or its worker has said nothing.
  base::MonotonicTime quiet_since;
  base::MonotonicTime stopped_at = {};
  base::MonotonicTime ended_at = {};
  // None: it is read, has its worker.
  base::OptionalTime unread_since;
  base::OptionalTime worker_lost_at;
  // When this replica tries to claim it, although another one got the POST; or again, after a claim that failed.
  base::OptionalTime assigns_at;

 private:
  void OnTimer() override;
};

// Slots, to be found by the id of their call.
struct SlotHash {
  using is_transparent = void;
  size_t operator()(absl::string_view id) const { return absl::Hash<absl::string_view>()(id); }
  size_t operator()(const std::unique_ptr<Slot>& slot) const { return (*this)(slot->state.id()); }
};
struct SlotEq {
  using is_transparent = void;
  bool operator()(const std::unique_ptr<Slot>& a, const std::unique_ptr<Slot>& b) const { return a == b; }
  bool operator()(const std::unique_ptr<Slot>& slot, absl::string_view id) const { return slot->state.id() == id; }
};
using SlotSet = absl::flat_hash_set<std::unique_ptr<Slot>, SlotHash, SlotEq>;

}  // namespace bridge::calls
