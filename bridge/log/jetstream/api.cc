#include "bridge/log/jetstream/api.h"

#include <array>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

#include "bridge/base/status_macros.h"
#include "bridge/log/jetstream/json.h"

namespace bridge::log::jetstream {
namespace {

namespace json = boost::json;

constexpr absl::Duration kTimeout = absl::Seconds(3);
// How long the server keeps a consumer that nobody asks.
constexpr absl::Duration kConsumerIdleMax = absl::Seconds(15);

// What may be different in a moment has this one, as in HTTP.
constexpr int64_t kUnavailableCode = 503;
// JetStream's codes for what is not an error to everybody.
constexpr int64_t kStreamNotFound = 10059;
constexpr int64_t kNoMessageFound = 10037;
// A cluster that has too few of its servers yet.
constexpr int64_t kNoSuitablePeers = 10005;

absl::Status ErrorOf(const json::object& answer, absl::string_view what) {
  const json::object& error = JsonObject(answer, "error");
  if (error.empty()) {
    return absl::OkStatus();
  }
  const int64_t code = JsonInt(error, "err_code");
  const std::string message =
      absl::StrCat(what, ": JetStream says: ", JsonString(error, "description"), " (", code, ")");
  if (code == kStreamNotFound) {
    return absl::NotFoundError(message);
  }
  if (code == kNoMessageFound) {
    return absl::OutOfRangeError(message);
  }
  const bool is_passing = JsonInt(error, "code") == kUnavailableCode || code == kNoSuitablePeers;
  return is_passing ? absl::UnavailableError(message) : absl::FailedPreconditionError(message);
}

absl::StatusOr<json::object> Call(NatsConnection& connection, const std::string& subject, const json::object& request) {
  ASSIGN_OR_RETURN(const std::string answer,
                   connection.Request(absl::StrCat("$JS.API.", subject), json::serialize(request), kTimeout));
  json::error_code error;
  json::value value = json::parse(base::JsonText(answer), error);
  if (error || !value.is_object()) {
    return absl::UnavailableError(absl::StrCat(subject, ": the answer is no JSON object: ", error.message()));
  }
  RETURN_IF_ERROR(ErrorOf(value.get_object(), subject));
  return std::move(value.get_object());
}

// A server without a cluster has nothing to say of others.
bool HasQuorum(const json::object& cluster, uint64_t replicas) {
  const json::value* const others = cluster.if_contains("replicas");
  if (others == nullptr || !others->is_array()) {
    return replicas <= 1;
  }
  uint64_t current = 1;  // the leader, who answers
  for (const json::value& other : others->get_array()) {
    current += other.is_object() && JsonBool(other.get_object(), "current") && !JsonBool(other.get_object(), "offline")
                   ? 1U
                   : 0U;
  }
  return 2 * current > replicas;
}

absl::StatusOr<StreamInfo> ParseStreamInfo(const json::object& answer) {
  const json::object& config = JsonObject(answer, "config");
  const json::object& state = JsonObject(answer, "state");
  const absl::string_view created = JsonString(answer, "created");
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, created, &time, &error) || time <= absl::UnixEpoch()) {
    return absl::UnavailableError(absl::StrCat("the stream was created at \"", created, "\", which is no time"));
  }
  StreamInfo info = {.created = static_cast<uint64_t>(absl::ToUnixNanos(time)),
                     .first = JsonUint(state, "first_seq"),
                     .last = JsonUint(state, "last_seq"),
                     .messages = JsonUint(state, "messages"),
                     .bytes = JsonUint(state, "bytes"),
                     .has_quorum = HasQuorum(JsonObject(answer, "cluster"), JsonUint(config, "num_replicas")),
                     .config = {.storage = std::string(JsonString(config, "storage")),
                                .retention = std::string(JsonString(config, "retention")),
                                .discard = std::string(JsonString(config, "discard")),
                                .no_ack = JsonBool(config, "no_ack"),
                                .max_age = absl::Nanoseconds(JsonInt(config, "max_age")),
                                .max_bytes = JsonInt(config, "max_bytes"),
                                .max_message_bytes = JsonInt(config, "max_msg_size"),
                                .replicas = JsonUint(config, "num_replicas"),
                                .duplicate_window = absl::Nanoseconds(JsonInt(config, "duplicate_window"))},
                     .config_json = json::serialize(config)};
  if (info.messages == 0) {
    info.first = info.last + 1;  // an empty stream says 0 or this
  }
  if (const json::value* const subjects = config.if_contains("subjects"); subjects != nullptr && subjects->is_array()) {
    for (const json::value& subject : subjects->get_array()) {
      info.config.subjects.emplace_back(subject.is_string() ? subject.get_string().c_str() : "");
    }
  }
  return info;
}

void SetLimits(const StreamConfig& config, json::object* out) {
  (*out)["max_age"] = absl::ToInt64Nanoseconds(config.max_age);
  (*out)["max_bytes"] = config.max_bytes;
  (*out)["num_replicas"] = config.replicas;
  if (config.duplicate_window > absl::ZeroDuration()) {
    (*out)["duplicate_window"] = absl::ToInt64Nanoseconds(config.duplicate_window);
  }
}

}  // namespace

absl::StatusOr<StreamInfo> GetStream(NatsConnection& connection, const std::string& stream) {
  ASSIGN_OR_RETURN(const json::object answer, Call(connection, absl::StrCat("STREAM.INFO.", stream), {}));
  return ParseStreamInfo(answer);
}

absl::Status CreateStream(NatsConnection& connection, const std::string& stream, const StreamConfig& config) {
  json::object request = {{"name", stream},
                          {"subjects", json::array(config.subjects.begin(), config.subjects.end())},
                          {"storage", config.storage},
                          {"retention", config.retention},
                          {"discard", config.discard},
                          {"max_consumers", -1},
                          {"max_msgs", -1},
                          {"max_msgs_per_subject", -1},
                          {"max_msg_size", -1}};
  SetLimits(config, &request);
  return Call(connection, absl::StrCat("STREAM.CREATE.", stream), request).status();
}

absl::Status UpdateLimits(NatsConnection& connection, const std::string& stream, const StreamInfo& is,
                          const StreamConfig& config) {
  json::error_code error;
  json::value request = json::parse(base::JsonText(is.config_json), error);
  if (error || !request.is_object()) {
    return absl::UnavailableError(absl::StrCat("the stream's configuration is no JSON object: ", error.message()));
  }
  SetLimits(config, &request.get_object());
  return Call(connection, absl::StrCat("STREAM.UPDATE.", stream), request.get_object()).status();
}

absl::StatusOr<Consumer> CreateConsumer(NatsConnection& connection, const std::string& stream,
                                        const ConsumerPlace& place) {
  const json::object request = {{"stream_name", stream},
                                {"config",
                                 {{"deliver_policy", "by_start_sequence"},
                                  {"opt_start_seq", place.first},
                                  {"filter_subject", place.filter},
                                  {"ack_policy", "none"},
                                  {"max_deliver", 1},
                                  {"mem_storage", true},
                                  {"inactive_threshold", absl::ToInt64Nanoseconds(kConsumerIdleMax)}}}};
  ASSIGN_OR_RETURN(const json::object answer, Call(connection, absl::StrCat("CONSUMER.CREATE.", stream), request));
  return Consumer{.name = std::string(JsonString(answer, "name")), .pending = JsonUint(answer, "num_pending")};
}

absl::StatusOr<std::optional<StoredMessage>> GetNextMessage(NatsConnection& connection, const std::string& stream,
                                                            const ConsumerPlace& place) {
  const absl::StatusOr<json::object> answer =
      Call(connection, absl::StrCat("STREAM.MSG.GET.", stream), {{"seq", place.first}, {"next_by_subj", place.filter}});
  if (absl::IsOutOfRange(answer.status())) {
    return std::nullopt;
  }
  RETURN_IF_ERROR(answer.status());
  const json::object& message = JsonObject(*answer, "message");
  StoredMessage stored = {.sequence = JsonUint(message, "seq"), .subject = std::string(JsonString(message, "subject"))};
  if (stored.sequence < place.first || !absl::Base64Unescape(JsonString(message, "data"), &stored.data)) {
    return absl::UnavailableError("JetStream's answer for a message is not understood");
  }
  return stored;
}

absl::StatusOr<PubAck> ParsePubAck(absl::string_view text, absl::string_view stream) {
  std::array<unsigned char, 1024> memory;  // NOLINT(cppcoreguidelines-pro-type-member-init): it is written to first
  json::monotonic_resource resource(memory.data(), memory.size());
  json::error_code error;
  const json::value answer = json::parse(base::JsonText(text), error, &resource);
  if (error || !answer.is_object()) {
    return absl::UnavailableError("JetStream's ack is no JSON object");
  }
  const json::object& ack = answer.get_object();
  RETURN_IF_ERROR([&] {
    const absl::Status status = ErrorOf(ack, "publishing");
    return status.ok() ? status : absl::UnavailableError(status.message());
  }());
  const uint64_t sequence = JsonUint(ack, "seq");
  if (sequence == 0) {  // a repeat of a message that is still on its way
    return absl::UnavailableError("JetStream's ack has no sequence");
  }
  if (JsonString(ack, "stream") != stream) {
    return absl::UnavailableError(absl::StrCat("stream \"", JsonString(ack, "stream"), "\" took a record instead of \"",
                                               stream, "\": its subjects overlap"));
  }
  return PubAck{.sequence = sequence, .is_duplicate = JsonBool(ack, "duplicate")};
}

}  // namespace bridge::log::jetstream
