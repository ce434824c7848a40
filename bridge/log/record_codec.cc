#include "bridge/log/record_codec.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <google/protobuf/arena.h>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "bridge/topic/event_type.h"
#include "bridge/topic/topic.h"

namespace bridge::log {
namespace {

constexpr uint32_t kVersion = 1;

}  // namespace

void RecordEncoder::Encode(const Record& record, std::string* out) {
  stored_.set_version(kVersion);
  stored_.set_topic(record.topic);
  stored_.set_type(record.type);
  stored_.set_data(record.data);
  stored_.set_retry_ms(static_cast<uint64_t>(absl::ToInt64Milliseconds(record.retry)));
  const timespec time = absl::ToTimespec(record.time);
  stored_.mutable_time()->set_seconds(time.tv_sec);
  stored_.mutable_time()->set_nanos(static_cast<int32_t>(time.tv_nsec));
  stored_.set_publisher(record.publisher);
  stored_.set_idempotency_key(record.idempotency_key);
  stored_.set_call(record.call);
  stored_.AppendToString(out);
}

std::string EncodeRecord(const Record& record) {
  std::string bytes;
  RecordEncoder().Encode(record, &bytes);
  return bytes;
}

absl::StatusOr<Record> DecodeRecord(absl::string_view bytes) {
  // The message's parts but its long texts, which move on into the record, are on the stack.
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): it is written to first
  alignas(std::max_align_t) std::array<char, 1024> memory;
  google::protobuf::Arena arena(memory.data(), memory.size());
  v1::Record& stored = *google::protobuf::Arena::CreateMessage<v1::Record>(&arena);
  if (!stored.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) || stored.version() == 0) {
    return absl::DataLossError(absl::StrCat("these ", bytes.size(), " bytes are no record"));
  }
  if (stored.version() > kVersion) {
    return absl::UnimplementedError(absl::StrCat("the record has format ", stored.version(),
                                                 ", this program reads formats up to ", kVersion, ": update it"));
  }
  absl::Status valid = topic::ValidateTopic(stored.topic());
  if (stored.call().empty() || stored.type() != kCallEndType) {
    valid.Update(topic::CheckEventType(stored.type()));
  }
  if (!valid.ok()) {
    return absl::DataLossError(absl::StrCat("no bridge wrote this record: ", valid.message()));
  }
  Record record;
  record.topic = std::move(*stored.mutable_topic());
  if (!stored.type().empty()) {
    record.type = std::move(*stored.mutable_type());
  }
  record.data = std::move(*stored.mutable_data());
  record.retry = absl::Milliseconds(stored.retry_ms());
  record.time = absl::FromUnixSeconds(stored.time().seconds()) + absl::Nanoseconds(stored.time().nanos());
  if (!stored.publisher().empty()) {
    record.publisher = std::move(*stored.mutable_publisher());
  }
  if (!stored.idempotency_key().empty()) {
    record.idempotency_key = std::move(*stored.mutable_idempotency_key());
  }
  if (!stored.call().empty()) {
    record.call = std::move(*stored.mutable_call());
  }
  return record;
}

}  // namespace bridge::log
