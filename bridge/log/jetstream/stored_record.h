#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "bridge/base/clock.h"
#include "bridge/log/record.h"

struct evp_md_ctx_st;
struct evp_md_st;

// How a record stands in a stream: its subjects, its message id, its place.
namespace bridge::log::jetstream {

// PREFIX.kept.TOPIC, and PREFIX.live.TOPIC for what is ephemeral. Topics and patterns are NATS's subjects.
std::string KeptSubject(absl::string_view prefix, absl::string_view topic);
std::string LiveSubject(absl::string_view prefix, absl::string_view topic);

// By which a message is known again, in this process.
size_t HashOfMessage(absl::string_view subject, absl::string_view data);

// The record of a message under PREFIX.kept.TOPIC or PREFIX.live.TOPIC. As DecodeRecord; DATA_LOSS also where its topic
// is not the subject's.
absl::StatusOr<Record> ReadStored(absl::string_view prefix, absl::string_view subject, absl::string_view data);

// When a record was accepted, on this process's monotonic clock, as far as the wall clocks tell; not in the future.
base::MonotonicTime ReceivedAt(const Record& record);

// What JetStream says of a message that a consumer hands out, in its reply subject.
struct Delivered {
  absl::string_view consumer = {};
  uint64_t sequence = 0;
  // Counts the messages of the consumer, from 1: where a number is missing, messages were lost on the way.
  uint64_t number = 0;
  // The messages that the consumer has behind it.
  uint64_t pending = 0;
};
std::optional<Delivered> ParseDelivered(absl::string_view reply);

// Makes the ids by which JetStream recognises repeats: a hash of publisher, topic and idempotency key (192 bits of
// SHA-256, in base64), the same in every process, that nobody can find a second record for. Not thread-safe.
class MessageIds {
 public:
  MessageIds();
  ~MessageIds();
  MessageIds(const MessageIds&) = delete;
  MessageIds& operator=(const MessageIds&) = delete;

  // Empty for a record without a key.
  std::string Of(const Record& record);

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
    void operator()(evp_md_st* hash) const;
  };
  std::unique_ptr<evp_md_st, Free> sha256_;
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

}  // namespace bridge::log::jetstream
