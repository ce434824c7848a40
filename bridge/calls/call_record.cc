#include "bridge/calls/call_record.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#include <google/protobuf/util/json_util.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "bridge/auth/base64url.h"
#include "bridge/calls/call.h"
#include "bridge/http/v1/http.pb.h"

namespace bridge::calls {
namespace {

using log::v1::CallRecord;

// The topic of what is about no call.
constexpr absl::string_view kPresenceTopic = "presence";

log::Record RecordOf(absl::string_view topic, const CallRecord& what) {
  log::Record record;
  record.topic = std::string(topic);
  record.time = absl::Now();
  record.call = what.SerializeAsString();
  return record;
}

std::string JsonOf(const EndOf& end) {
  http::v1::CallEnd message;
  message.set_status(std::string(NameOf(end.status)));
  message.set_code(end.code);
  message.set_message(end.message);
  if (!end.usage.empty()) {
    // It has been printed from a Struct.
    static_cast<void>(google::protobuf::util::JsonStringToMessage(end.usage, message.mutable_usage()));
  }
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  return status.ok() ? json : absl::StrCat(R"({"status":")", NameOf(end.status), R"("})");
}

log::Record EndRecordOf(absl::string_view id, log::v1::CallEnd what, const EndOf& end) {
  CallRecord all;
  what.set_status(static_cast<uint32_t>(end.status));
  *all.mutable_end() = std::move(what);
  log::Record record = RecordOf(id, all);
  record.type = std::string(log::kCallEndType);
  record.data = JsonOf(end);
  return record;
}

}  // namespace

std::string RandomCallId() {
  std::array<unsigned char, 16> bytes = {};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) {
    std::abort();  // an id that can be guessed gives the answer away
  }
  return auth::EncodeBase64Url({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

bool IsCallId(absl::string_view text) {
  return text.size() == kCallIdBytes && std::ranges::all_of(text, [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
         });
}

std::string FingerprintOf(std::initializer_list<absl::string_view> texts) {
  std::string all;
  for (const absl::string_view text : texts) {
    absl::StrAppend(&all, text.size(), ":", text);
  }
  std::string digest(EVP_MAX_MD_SIZE, '\0');
  unsigned int size = 0;
  if (EVP_Digest(all.data(), all.size(), reinterpret_cast<unsigned char*>(digest.data()), &size, EVP_sha256(),
                 nullptr) != 1) {
    std::abort();  // OpenSSL without SHA-256
  }
  digest.resize(size);
  return digest;
}

std::string KeyFingerprintOf(const CallRequest& request) {
  return FingerprintOf({request.owner.issuer, request.owner.subject, request.name, request.idempotency_key});
}

std::string BodyFingerprintOf(const CallRequest& request) {
  return FingerprintOf({request.content_type, request.body});
}

log::Record OpenRecord(absl::string_view id, const CallRequest& request, const std::string& replica) {
  CallRecord what;
  log::v1::CallOpen& open = *what.mutable_open();
  open.set_name(request.name);
  open.set_body(request.body);
  open.set_content_type(request.content_type);
  open.set_issuer(request.owner.issuer);
  open.set_subject(request.owner.subject);
  for (const auto& [name, value] : request.metadata) {
    (*open.mutable_metadata())[name] = value;
  }
  open.mutable_timeout()->set_seconds(absl::ToInt64Seconds(request.timeout));
  open.mutable_timeout()->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(request.timeout % absl::Seconds(1))));
  open.set_on_disconnect(static_cast<log::v1::OnDisconnect>(request.on_disconnect));
  open.set_is_async(request.is_async);
  if (!request.idempotency_key.empty()) {
    open.set_key_fingerprint(KeyFingerprintOf(request));
    open.set_body_fingerprint(BodyFingerprintOf(request));
  }
  open.set_replica(replica);
  return RecordOf(id, what);
}

log::Record ClaimRecord(absl::string_view id, log::v1::CallClaim claim) {
  CallRecord what;
  *what.mutable_claim() = std::move(claim);
  return RecordOf(id, what);
}

log::Record ReleaseRecord(absl::string_view id, uint32_t attempt, uint32_t turn) {
  CallRecord what;
  what.mutable_release()->set_attempt(attempt);
  what.mutable_release()->set_turn(turn);
  return RecordOf(id, what);
}

log::Record AnswerRecord(absl::string_view id, AnswerPlace place, AnswerEvent event) {
  CallRecord what;
  what.mutable_answer()->set_attempt(place.attempt);
  what.mutable_answer()->set_index(place.index);
  log::Record record = RecordOf(id, what);
  record.type = std::move(event.type);
  record.data = std::move(event.data);
  record.retry = event.retry;
  return record;
}

log::Record StopRecord(absl::string_view id, StopReason reason, absl::string_view message) {
  CallRecord what;
  what.mutable_stop()->set_reason(static_cast<int32_t>(reason));
  what.mutable_stop()->set_message(std::string(message));
  return RecordOf(id, what);
}

log::Record WorkersEndRecord(absl::string_view id, AnswerPlace place, const EndOf& end) {
  log::v1::CallEnd what;
  what.set_attempt(place.attempt);
  what.set_index(place.index);
  return EndRecordOf(id, std::move(what), end);
}

log::Record EndRecord(absl::string_view id, const EndOf& end, std::optional<uint32_t> turn) {
  log::v1::CallEnd what;
  if (turn.has_value()) {
    what.set_turn(*turn);
  }
  return EndRecordOf(id, std::move(what), end);
}

log::Record PresenceRecord(log::v1::ReplicaPresence presence) {
  CallRecord what;
  *what.mutable_presence() = std::move(presence);
  log::Record record = RecordOf(std::string(kPresenceTopic), what);
  record.ephemeral = true;
  return record;
}

std::vector<log::Record> Alone(log::Record record) {
  std::vector<log::Record> records;
  records.push_back(std::move(record));
  return records;
}

absl::StatusOr<CallRecord> ParseCallRecord(const log::Record& record) {
  CallRecord what;
  if (!what.ParseFromString(record.call) || what.kind_case() == CallRecord::KIND_NOT_SET) {
    return absl::DataLossError(absl::StrCat("the record of ", record.topic, " says nothing about a call"));
  }
  return what;
}

}  // namespace bridge::calls
