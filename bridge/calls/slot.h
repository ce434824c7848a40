#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "bridge/base/clock.h"
#include "bridge/calls/call.h"
#include "bridge/calls/worker.h"
#include "bridge/loop/timer_wheel.h"

namespace bridge::calls {

class Calls;

// A call and what this replica does about it.
struct Slot final : loop::Timer {
  Slot(Calls* its_calls, Call its_state, base::MonotonicTime now)
      : calls(its_calls), state(std::move(its_state)), opened_at(now), waits_since(now), active_at(now) {}
  void OnTimer() override;

  // Its worker has it already, and comes here with it.
  bool IsMoving() const { return is_claiming && state.is_claimed() && worker->key == state.worker(); }
  // When its worker's stream broke, where no other one of it is about to have the call.
  std::optional<base::MonotonicTime> WorkerLostAt() const { return is_claiming ? std::nullopt : worker_lost_at; }

  Calls* const calls;
  Call state;
  // Has it, or is claiming it.
  std::shared_ptr<Worker> worker;
  bool is_claiming = false;
  // A stop, release or end has been appended and not been followed.
  bool is_deciding = false;
  // It stands in unacked_.
  bool is_unacked = false;
  // Its idempotency key stands for it.
  bool holds_key = false;
  // Events of the attempt that have been appended, followed or not; the bytes of those that have not been followed.
  uint64_t appended_index = 0;
  uint64_t appended_bytes = 0;
  size_t readers = 0;
  // What it counts for in bytes_in_flight_ and log_bytes_.
  uint64_t held_body_bytes = 0;
  uint64_t log_bytes = 0;
  // What limits.calls_per_address counts it by.
  std::string address;

  // All on the calls' clock (Now).
  base::MonotonicTime opened_at;
  // For a worker.
  base::MonotonicTime waits_since;
  base::MonotonicTime active_at;
  base::MonotonicTime stopped_at = {};
  base::MonotonicTime ended_at = {};
  // None: it is read, has its worker.
  std::optional<base::MonotonicTime> unread_since;
  std::optional<base::MonotonicTime> worker_lost_at;
  // When this replica tries to claim it, although another one got the POST; or again, after a claim that failed.
  std::optional<base::MonotonicTime> assigns_at;
};

}  // namespace bridge::calls
