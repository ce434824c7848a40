#include "bridge/log/jetstream/nats_inbox.h"

#include <utility>

#include "absl/strings/numbers.h"

namespace bridge::log::jetstream {
namespace {

// What is kept before it is freed.
constexpr size_t kSpentMax = 1024;
constexpr size_t kSpentBytesMax = size_t{1} << 20;

}  // namespace

absl::string_view Message::subject() const { return message_ ? natsMsg_GetSubject(message_.get()) : ""; }

absl::string_view Message::reply() const {
  const char* const reply = message_ ? natsMsg_GetReply(message_.get()) : nullptr;
  return reply == nullptr ? "" : reply;
}

absl::string_view Message::data() const {
  if (!message_ || natsMsg_GetDataLength(message_.get()) == 0) {
    return {};
  }
  return {natsMsg_GetData(message_.get()), static_cast<size_t>(natsMsg_GetDataLength(message_.get()))};
}

absl::string_view Message::header(const char* name) const {
  const char* value = nullptr;
  if (!message_ || natsMsgHeader_Get(message_.get(), name, &value) != NATS_OK || value == nullptr) {
    return {};
  }
  return value;
}

int Message::status() const {
  if (!message_ || natsMsg_GetDataLength(message_.get()) > 0) {
    return status_;
  }
  int status = 0;
  return absl::SimpleAtoi(header("Status"), &status) ? status : 0;
}

void SpentMessages::Add(Message message) {
  bytes_ += message.data().size();
  messages_.push_back(std::move(message));
  if (messages_.size() >= kSpentMax || bytes_ >= kSpentBytesMax) {
    Free();
  }
}

void SpentMessages::Free() {
  messages_.clear();
  bytes_ = 0;
}

Message Inbox::Next(absl::Duration timeout) {
  natsMsg* message = nullptr;
  const natsStatus status = natsSubscription_NextMsg(&message, subscription_, absl::ToInt64Milliseconds(timeout));
  if (status == NATS_NO_RESPONDERS) {
    return Message::NoResponders();
  }
  return Message(status == NATS_OK ? message : nullptr);
}

}  // namespace bridge::log::jetstream
