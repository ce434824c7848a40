#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>

#include "bridge/v1/publisher.pb.h"

namespace bridge::rpc {

// The requests of one publisher between their reading and the writing of their acks, in request order, and what they
// take. Not thread-safe.
class AckQueue {
 public:
  // A request has been read that has so many events and takes so many bytes. Returns its number.
  uint64_t Push(uint64_t events, uint64_t bytes);

  // The ack of a request is ready. Returns the bytes that it takes.
  uint64_t Complete(uint64_t number, v1::Ack&& ack);

  // This request gets no ack, nor does any behind it.
  void EndAcksBefore(uint64_t number) { acks_end_ = std::min(acks_end_, number); }

  // Moves acks that are ready, as many as go into one response, from the front into `response`. They count until
  // NoteWritten.
  void MoveReadyTo(v1::PublishResponse* response);
  // Both return the bytes of acks that are here no longer: those that were moved, and those that are ready, which
  // nobody will read.
  uint64_t NoteWritten();
  uint64_t DropReady();

  bool empty() const { return requests_.empty(); }
  size_t size() const { return requests_.size(); }
  // Of requests whose acks have not been moved.
  uint64_t events() const { return events_; }
  // Of requests, and of their acks that are ready.
  uint64_t bytes() const { return bytes_; }
  // Of acks that are ready, or being written.
  uint64_t ack_bytes() const { return ack_bytes_; }

 private:
  struct Request {
    v1::Ack ack;
    uint64_t events = 0;
    uint64_t bytes = 0;
    uint64_t ack_bytes = 0;
    bool is_ready = false;
  };

  void PopFront();

  std::deque<Request> requests_;
  // The number of the request in front.
  uint64_t first_number_ = 0;
  uint64_t acks_end_ = std::numeric_limits<uint64_t>::max();
  uint64_t events_ = 0;
  uint64_t bytes_ = 0;
  uint64_t ack_bytes_ = 0;
  // Of what MoveReadyTo has moved.
  uint64_t writing_bytes_ = 0;
  uint64_t writing_ack_bytes_ = 0;
};

}  // namespace bridge::rpc
