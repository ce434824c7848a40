#include "bridge/rpc/worker_outbox.h"

#include <ctime>

#include "absl/time/time.h"

namespace bridge::rpc {
namespace {

// In one response, in memory: a client's limit for a message is 4 MiB by default. A single call may be larger.
constexpr uint64_t kCallBytesMax = uint64_t{1} << 20;
constexpr uint64_t kCancelBytesMax = uint64_t{256} << 10;
constexpr uint64_t kAckBytesMax = uint64_t{256} << 10;

v1::Call MessageOf(calls::AssignedCall&& call) {
  v1::Call message;
  message.set_call_id(std::move(call.id));
  message.set_attempt(call.attempt);
  message.set_name(std::move(call.name));
  message.set_body(std::move(call.body));
  message.set_content_type(std::move(call.content_type));
  message.set_subject(std::move(call.subject));
  for (auto& [name, value] : call.metadata) {
    (*message.mutable_metadata())[name] = std::move(value);
  }
  const timespec timeout = absl::ToTimespec(call.timeout);
  message.mutable_timeout()->set_seconds(timeout.tv_sec);
  message.mutable_timeout()->set_nanos(static_cast<int32_t>(timeout.tv_nsec));
  return message;
}

v1::CallAck MessageOf(calls::CallAck&& ack) {
  v1::CallAck message;
  message.set_call_id(std::move(ack.id));
  message.set_attempt(ack.attempt);
  message.set_next_index(ack.next_index);
  message.set_code(static_cast<int32_t>(ack.status.code()));
  message.set_message(std::string(ack.status.message()));
  return message;
}

template <typename Message>
uint64_t BytesOf(const Message& message) {
  return message.SpaceUsedLong();
}

// There is one for each event, and counting by reflection would cost as much as all else about it.
uint64_t BytesOf(const v1::CallAck& ack) { return sizeof(ack) + ack.call_id().capacity() + ack.message().capacity(); }

}  // namespace

template <typename Message>
uint64_t WorkerOutbox::Push(Message message, std::deque<Item<Message>>* queue) {
  const uint64_t bytes = BytesOf(message);
  queue->emplace_back(std::move(message), bytes);
  bytes_ += bytes;
  return bytes;
}

template <typename Message>
uint64_t WorkerOutbox::MoveFront(std::deque<Item<Message>>* queue, Message* message) {
  auto& [first, bytes_of_first] = queue->front();
  const uint64_t bytes = bytes_of_first;
  writing_bytes_ += bytes;
  *message = std::move(first);
  queue->pop_front();
  return bytes;
}

uint64_t WorkerOutbox::PutServing(v1::Serving&& serving) { return Push(std::move(serving), &servings_); }

uint64_t WorkerOutbox::PutCall(calls::AssignedCall&& call) {
  call_numbers_[Key(call.id, call.attempt)] = first_call_ + calls_.size();
  v1::Call message = MessageOf(std::move(call));
  const uint64_t bytes = message.SpaceUsedLong();
  calls_.push_back({.message = std::move(message), .bytes = bytes, .cancel = std::nullopt});
  bytes_ += bytes;
  return bytes;
}

uint64_t WorkerOutbox::PutStop(absl::string_view call_id, uint32_t attempt, calls::StopReason reason) {
  v1::CallCancel cancel;
  cancel.set_call_id(std::string(call_id));
  cancel.set_attempt(attempt);
  cancel.set_reason(static_cast<v1::CallCancel::Reason>(reason));
  const auto waiting = call_numbers_.find(Key(call_id, attempt));
  if (waiting == call_numbers_.end()) {
    return Push(std::move(cancel), &cancels_);
  }
  WaitingCall& call = calls_[static_cast<size_t>(waiting->second - first_call_)];
  if (call.cancel.has_value()) {
    return 0;  // the first reason counts
  }
  const uint64_t bytes = cancel.SpaceUsedLong();
  call.cancel = Item<v1::CallCancel>(std::move(cancel), bytes);
  bytes_ += bytes;
  return bytes;
}

uint64_t WorkerOutbox::PutAck(calls::CallAck&& ack) {
  const Key key(ack.id, ack.attempt);
  if (!ack.status.ok()) {
    ack_numbers_.erase(key);
    return Push(MessageOf(std::move(ack)), &acks_);
  }
  const auto [waiting, is_new] = ack_numbers_.try_emplace(key, first_ack_ + acks_.size());
  if (is_new) {
    return Push(MessageOf(std::move(ack)), &acks_);
  }
  acks_[static_cast<size_t>(waiting->second - first_ack_)].first.set_next_index(ack.next_index);
  return 0;
}

bool WorkerOutbox::MoveTo(v1::PublishResponse* response) {
  if (empty()) {
    return false;
  }
  if (!servings_.empty()) {
    MoveFront(&servings_, response->mutable_serving());
  }
  MoveCancelsTo(response);
  MoveCallsTo(response);
  MoveAcksTo(response);
  return true;
}

void WorkerOutbox::MoveCancelsTo(v1::PublishResponse* response) {
  for (uint64_t moved = 0; !cancels_.empty() && moved < kCancelBytesMax;) {
    moved += MoveFront(&cancels_, response->add_cancels());
  }
}

void WorkerOutbox::MoveCallsTo(v1::PublishResponse* response) {
  if (!cancels_.empty()) {
    return;  // those that are left come first
  }
  uint64_t moved = 0;
  while (!calls_.empty() && (moved == 0 || moved + calls_.front().bytes <= kCallBytesMax)) {
    WaitingCall& call = calls_.front();
    call_numbers_.erase(Key(call.message.call_id(), call.message.attempt()));
    moved += call.bytes;
    writing_bytes_ += call.bytes;
    *response->add_calls() = std::move(call.message);
    if (call.cancel.has_value()) {
      cancels_.push_back(*std::move(call.cancel));
    }
    calls_.pop_front();
    ++first_call_;
  }
}

void WorkerOutbox::MoveAcksTo(v1::PublishResponse* response) {
  for (uint64_t moved = 0; !acks_.empty() && moved < kAckBytesMax;) {
    const v1::CallAck& ack = acks_.front().first;
    const auto waiting = ack_numbers_.find(Key(ack.call_id(), ack.attempt()));
    if (waiting != ack_numbers_.end() && waiting->second == first_ack_) {
      ack_numbers_.erase(waiting);
    }
    moved += MoveFront(&acks_, response->add_call_acks());
    ++first_ack_;
  }
}

uint64_t WorkerOutbox::NoteWritten() {
  bytes_ -= writing_bytes_;
  return std::exchange(writing_bytes_, 0);
}

uint64_t WorkerOutbox::DropCalls() {
  uint64_t dropped = 0;
  for (const WaitingCall& call : calls_) {
    dropped += call.bytes;
    if (call.cancel.has_value()) {
      dropped += call.cancel->second;
    }
  }
  first_call_ += calls_.size();
  calls_.clear();
  call_numbers_.clear();
  bytes_ -= dropped;
  return dropped;
}

uint64_t WorkerOutbox::DropAll() {
  const uint64_t dropped = bytes_ - writing_bytes_;
  const uint64_t writing = writing_bytes_;
  *this = WorkerOutbox();
  bytes_ = writing;
  writing_bytes_ = writing;
  return dropped;
}

}  // namespace bridge::rpc
