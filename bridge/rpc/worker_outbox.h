#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"

#include "bridge/calls/call_types.h"
#include "bridge/calls/worker_stream.h"
#include "bridge/v1/publisher.pb.h"

namespace bridge::rpc {

// What a worker is to be told and has not been. Not thread-safe.
//
// Cancels go out before calls, but for a call that has not been told itself: its cancel comes behind it, in a later
// response. Of the acks of one call the newest is told, and every one with an error, in order.
//
// The Put functions return the bytes by which it has grown; those count until NoteWritten or a drop returns them.
class WorkerOutbox {
 public:
  uint64_t PutServing(v1::Serving&& serving);
  uint64_t PutCall(calls::AssignedCall&& call);
  uint64_t PutStop(absl::string_view call_id, uint32_t attempt, calls::StopReason reason);
  uint64_t PutAck(calls::CallAck&& ack);

  // Moves what goes into one response; false where there is nothing.
  bool MoveTo(v1::PublishResponse* response);
  // The bytes of what was moved.
  uint64_t NoteWritten();
  // The bytes of calls that are told no more, and their cancels.
  uint64_t DropCalls();
  // Of all that has not been moved.
  uint64_t DropAll();

  // Nothing waits for being moved.
  bool empty() const { return servings_.empty() && calls_.empty() && cancels_.empty() && acks_.empty(); }
  bool has_calls() const { return !calls_.empty(); }
  // Of what is here, or being written.
  uint64_t bytes() const { return bytes_; }

 private:
  // A call and its attempt.
  using Key = std::pair<std::string, uint32_t>;
  // A message and its bytes.
  template <typename Message>
  using Item = std::pair<Message, uint64_t>;
  struct WaitingCall {
    v1::Call message;
    uint64_t bytes = 0;
    // Told after it.
    std::optional<Item<v1::CallCancel>> cancel;
  };

  template <typename Message>
  uint64_t Push(Message message, std::deque<Item<Message>>* queue);
  // Moves the first of `queue`, which is not empty; returns its bytes.
  template <typename Message>
  uint64_t MoveFront(std::deque<Item<Message>>* queue, Message* message);
  void MoveCancelsTo(v1::PublishResponse* response);
  void MoveCallsTo(v1::PublishResponse* response);
  void MoveAcksTo(v1::PublishResponse* response);

  std::deque<Item<v1::Serving>> servings_;
  std::deque<WaitingCall> calls_;
  std::deque<Item<v1::CallCancel>> cancels_;
  std::deque<Item<v1::CallAck>> acks_;
  // The number of the first in calls_ and acks_ among all that were ever there, and the numbers of those that wait:
  // all calls, and of the acks of each call the last where it has no error.
  uint64_t first_call_ = 0;
  uint64_t first_ack_ = 0;
  absl::flat_hash_map<Key, uint64_t> call_numbers_;
  absl::flat_hash_map<Key, uint64_t> ack_numbers_;
  uint64_t bytes_ = 0;
  // Of what MoveTo has moved.
  uint64_t writing_bytes_ = 0;
};

}  // namespace bridge::rpc
