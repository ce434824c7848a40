#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "bridge/log/jetstream/nats_connection.h"

// The requests of JetStream's API that the log makes, in the API's own JSON: so a server's newer settings survive an
// update, and the versions of the client library make no difference. All of them block, for some seconds at most; they
// fail with UNAVAILABLE where there is no answer, else with what JetStream has said.
namespace bridge::log::jetstream {

// What a stream is like. Times without limit are zero, other missing limits -1.
struct StreamConfig {
  std::vector<std::string> subjects = {};
  std::string storage = {};
  std::string retention = {};
  std::string discard = {};
  bool no_ack = false;
  absl::Duration max_age = {};
  int64_t max_bytes = -1;
  int64_t max_message_bytes = -1;
  uint64_t replicas = 1;
  absl::Duration duplicate_window = {};
};

struct StreamInfo {
  // The nanoseconds of its creation since 1970, the same on every server.
  uint64_t created = 0;
  // first = last + 1 where it holds none.
  uint64_t first = 1;
  uint64_t last = 0;
  uint64_t messages = 0;
  uint64_t bytes = 0;
  // Most of the servers that hold it are there and up to date. Else a leader that has just started may know less than
  // has been acked.
  bool has_quorum = true;
  StreamConfig config = {};
  // All of the configuration, as the server has it.
  std::string config_json = {};
};

// NOT_FOUND: there is no such stream.
absl::StatusOr<StreamInfo> GetStream(NatsConnection& connection, const std::string& stream);
absl::Status CreateStream(NatsConnection& connection, const std::string& stream, const StreamConfig& config);
// Changes the limits of a stream to those of `config`, and leaves everything else.
absl::Status UpdateLimits(NatsConnection& connection, const std::string& stream, const StreamInfo& is,
                          const StreamConfig& config);

struct ConsumerPlace {
  // Starts with the first message from this sequence on, 1 or more.
  uint64_t first = 1;
  // Of these subjects.
  std::string filter = {};
};
struct Consumer {
  std::string name = {};
  // The messages that it has before it.
  uint64_t pending = 0;
};
// A consumer that wants no acks, which the server forgets when nobody asks it for a while.
absl::StatusOr<Consumer> CreateConsumer(NatsConnection& connection, const std::string& stream,
                                        const ConsumerPlace& place);

struct StoredMessage {
  uint64_t sequence = 0;
  std::string subject = {};
  std::string data = {};
};
// The first message of `place`, by the stream's leader; nothing where it has none.
absl::StatusOr<std::optional<StoredMessage>> GetNextMessage(NatsConnection& connection, const std::string& stream,
                                                            const ConsumerPlace& place);

struct PubAck {
  uint64_t sequence = 0;
  bool is_duplicate = false;
};
// UNAVAILABLE: the message was not stored, or who knows.
absl::StatusOr<PubAck> ParsePubAck(absl::string_view json, absl::string_view stream);

}  // namespace bridge::log::jetstream
