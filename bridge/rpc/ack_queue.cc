#include "bridge/rpc/ack_queue.h"

#include <utility>

namespace bridge::rpc {
namespace {

// Acks in one response, in memory. A client's limit for a message is 4 MiB by default, and a slow one has to be able to
// take this within grpc.send_timeout.
constexpr uint64_t kResponseBytesMax = uint64_t{256} << 10;

}  // namespace

uint64_t AckQueue::Push(uint64_t events, uint64_t bytes) {
  requests_.push_back({.ack = {}, .events = events, .bytes = bytes});
  events_ += events;
  bytes_ += bytes;
  return first_number_ + requests_.size() - 1;
}

uint64_t AckQueue::Complete(uint64_t number, v1::Ack&& ack) {
  Request& request = requests_[static_cast<size_t>(number - first_number_)];
  request.ack = std::move(ack);
  request.is_ready = true;
  request.ack_bytes = request.ack.SpaceUsedLong();
  bytes_ += request.ack_bytes;
  ack_bytes_ += request.ack_bytes;
  return request.ack_bytes;
}

void AckQueue::MoveReadyTo(v1::PublishResponse* response) {
  while (!requests_.empty() && requests_.front().is_ready && writing_ack_bytes_ < kResponseBytesMax) {
    Request& first = requests_.front();
    writing_bytes_ += first.bytes + first.ack_bytes;
    writing_ack_bytes_ += first.ack_bytes;
    if (first_number_ < acks_end_) {
      *response->add_acks() = std::move(first.ack);
    }
    PopFront();
  }
}

uint64_t AckQueue::NoteWritten() {
  bytes_ -= std::exchange(writing_bytes_, 0);
  ack_bytes_ -= writing_ack_bytes_;
  return std::exchange(writing_ack_bytes_, 0);
}

uint64_t AckQueue::DropReady() {
  uint64_t dropped = 0;
  while (!requests_.empty() && requests_.front().is_ready) {
    dropped += requests_.front().ack_bytes;
    bytes_ -= requests_.front().bytes + requests_.front().ack_bytes;
    PopFront();
  }
  ack_bytes_ -= dropped;
  return dropped;
}

void AckQueue::PopFront() {
  events_ -= requests_.front().events;
  requests_.pop_front();
  ++first_number_;
}

}  // namespace bridge::rpc
