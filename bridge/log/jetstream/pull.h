#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "bridge/base/clock.h"
#include "bridge/log/jetstream/nats_inbox.h"
#include "bridge/log/jetstream/session.h"

namespace bridge::log::jetstream {

// A message of the stream in its place.
struct InPlace {
  uint64_t sequence = 0;
  // The messages of the consumer behind it.
  uint64_t pending = 0;
  Message message = {};
};

// Takes messages from a consumer, in order, each once, as many as were asked for: so nothing comes that there is no
// room for, and a reader that waits holds up nobody. It notices where one was lost on the way.
//
// Messages that stand before its place may come first: a consumer that was made by a leader whose stream did not reach
// so far starts where that one ended.
//
// Not thread-safe; the session outlives it. An inbox serves one after the other.
class Pull {
 public:
  static absl::StatusOr<Pull> Open(const JetStreamOptions& options, const Session& session, const ConsumerPlace& place);

  struct Order {
    size_t messages = 0;
    // About; one message comes in any case. 0: no bound.
    size_t bytes = 0;
    // How long the server waits for messages to come; zero: it gives what is there.
    absl::Duration wait = {};
  };
  // Asks for more, to be sent to this inbox.
  absl::Status Ask(const Order& order, const Address& to);

  // What was asked for and has not come.
  size_t outstanding() const { return outstanding_; }
  // What the consumer had before it when it was made.
  uint64_t pending_at_start() const { return pending_at_start_; }

  enum class Got { kMessage, kNothing, kEnd, kLost };
  // Takes the next message out of the inbox. kNothing: none came in this time, or a sign of life, or an order has
  // reached its bytes; kEnd: the server has ended an order because there is no more for now; kLost: messages were lost,
  // or the consumer is, and this is to be thrown away.
  Got Next(const Address& from, absl::Duration timeout, InPlace* out);

  // For how long nothing has been heard of the consumer, of which something was wanted.
  absl::Duration silence() const { return absl::FromChrono(base::MonotonicClock::now() - last_heard_); }

  // Tells the server that it is not needed any more.
  void Forget();

 private:
  Pull(const JetStreamOptions& options, const Session& session, Consumer consumer);

  // Where the server answers this consumer's orders.
  std::string AnswersAt(const Address& address) const;
  Got OnStatus(int status, const Message& message);
  void NoteHeard() { last_heard_ = base::MonotonicClock::now(); }

  const Session* session_;
  std::string consumer_;
  std::string next_subject_;
  std::string delete_subject_;
  uint64_t pending_at_start_ = 0;
  size_t outstanding_ = 0;
  // Of the last message.
  uint64_t number_ = 0;
  base::MonotonicTime last_heard_;
};

}  // namespace bridge::log::jetstream
