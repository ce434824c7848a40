#include "bridge/log/jetstream/pull.h"

#include <algorithm>

#include <boost/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

#include "bridge/base/status_macros.h"
#include "bridge/log/jetstream/stored_record.h"

namespace bridge::log::jetstream {
namespace {

// The server says that it is alive where it has nothing to say.
constexpr absl::Duration kHeartbeat = absl::Milliseconds(500);

// JetStream's status messages.
constexpr int kHeartbeatStatus = 100;
constexpr int kNoMessagesStatus = 404;
constexpr int kRequestTimeoutStatus = 408;
constexpr int kConflictStatus = 409;

}  // namespace

absl::StatusOr<Pull> Pull::Open(const JetStreamOptions& options, const Session& session, const ConsumerPlace& place) {
  ASSIGN_OR_RETURN(Consumer consumer, CreateConsumer(session.connection(), options.stream, place));
  Pull pull(options, session, std::move(consumer));
  // Asked for afterwards: a stream that is the session's now was so when the consumer was made.
  ASSIGN_OR_RETURN(const StreamInfo stream, GetStream(session.connection(), options.stream));
  if (stream.created != session.epoch()) {
    pull.Forget();
    return absl::UnavailableError("the stream has been made anew");
  }
  return pull;
}

Pull::Pull(const JetStreamOptions& options, const Session& session, Consumer consumer)
    : session_(&session),
      consumer_(std::move(consumer.name)),
      next_subject_(absl::StrCat("$JS.API.CONSUMER.MSG.NEXT.", options.stream, ".", consumer_)),
      delete_subject_(absl::StrCat("$JS.API.CONSUMER.DELETE.", options.stream, ".", consumer_)),
      pending_at_start_(consumer.pending),
      last_heard_(base::MonotonicClock::now()) {}

absl::Status Pull::Ask(const Order& order, const Address& to) {
  boost::json::object request = {{"batch", order.messages}};
  if (order.bytes > 0) {
    // The server ends an order rather than go beyond it, so that one message has to fit.
    request["max_bytes"] = order.bytes + 2 * session_->connection().max_payload();
  }
  if (order.wait > absl::ZeroDuration()) {
    request["expires"] = absl::ToInt64Nanoseconds(order.wait);
    request["idle_heartbeat"] = absl::ToInt64Nanoseconds(kHeartbeat);
  } else {
    request["no_wait"] = true;
  }
  if (outstanding_ == 0) {
    NoteHeard();  // until now it had nothing to say
  }
  outstanding_ += order.messages;
  return session_->connection().Publish(
      {.subject = next_subject_, .reply = AnswersAt(to), .data = boost::json::serialize(request), .message_id = ""});
}

Pull::Got Pull::Next(const Address& from, absl::Duration timeout, InPlace* out) {
  Message message = from.inbox->Next(timeout);
  if (!message) {
    return Got::kNothing;
  }
  if (const int status = message.status(); status != 0) {
    // What the server says of a consumer that was thrown away is not about this one.
    return message.subject() == AnswersAt(from) ? OnStatus(status, message) : Got::kNothing;
  }
  const std::optional<Delivered> delivered = ParseDelivered(message.reply());
  if (!delivered || delivered->consumer != consumer_) {
    return Got::kNothing;  // late, for one that was thrown away
  }
  NoteHeard();
  if (delivered->number != number_ + 1) {
    return Got::kLost;
  }
  ++number_;
  outstanding_ -= std::min<size_t>(outstanding_, 1);
  *out = {.sequence = delivered->sequence, .pending = delivered->pending, .message = std::move(message)};
  return Got::kMessage;
}

std::string Pull::AnswersAt(const Address& address) const { return absl::StrCat(address.subject, ".", consumer_); }

Pull::Got Pull::OnStatus(int status, const Message& message) {
  NoteHeard();
  uint64_t number = 0;
  if (status == kHeartbeatStatus) {
    return absl::SimpleAtoi(message.header("Nats-Last-Consumer"), &number) && number > number_ ? Got::kLost
                                                                                               : Got::kNothing;
  }
  const absl::string_view description = status == kConflictStatus ? message.header("Description") : "";
  if (absl::StrContains(description, "Batch Completed")) {
    return Got::kNothing;  // servers from 2.10 on say so behind the last message of an order that is bounded in bytes
  }
  const bool is_full = absl::StrContains(description, "MaxBytes");
  if (!is_full && status != kNoMessagesStatus && status != kRequestTimeoutStatus) {
    return Got::kLost;
  }
  size_t missing = outstanding_;
  if (absl::SimpleAtoi(message.header("Nats-Pending-Messages"), &number)) {
    missing = std::min<size_t>(missing, number);
  }
  outstanding_ -= missing;
  return is_full ? Got::kNothing : Got::kEnd;
}

void Pull::Forget() {
  // Where this does not arrive, the server forgets it by itself.
  session_->connection().Publish({.subject = delete_subject_, .reply = "", .data = "", .message_id = ""}).IgnoreError();
}

}  // namespace bridge::log::jetstream
