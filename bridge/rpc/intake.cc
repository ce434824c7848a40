#include "bridge/rpc/intake.h"

#include <algorithm>
#include <utility>

#include <google/protobuf/arena.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "bridge/base/shown.h"
#include "bridge/base/status_macros.h"
#include "bridge/sse/encoder.h"
#include "bridge/topic/event_type.h"
#include "bridge/topic/topic.h"

namespace bridge::rpc {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

constexpr size_t kRequestIdBytesMax = 128;
constexpr size_t kKeyBytesMax = 128;

// Deep enough for 64 levels of JSON, each of which takes up to three messages; depth is then one event's rejection.
constexpr int kRecursionLimit = 300;

// A request with more events than this gets its rejections without a text each.
constexpr size_t kRejectionTextsMax = 10'000;
// With more than this it gets none, and its stream ends: the rejections would be larger than the request.
constexpr size_t kEventsRejectedMax = 100'000;

// The number of events in a request and its id, without parsing the events: a few bytes of each would become a hundred
// in memory.
struct Outline {
  size_t events = 0;
  std::string request_id;
};

absl::StatusOr<Outline> OutlineOf(const grpc::ByteBuffer& bytes) {
  grpc::ByteBuffer copy(bytes);  // shares the slices
  grpc::ProtoBufferReader reader(&copy);
  CodedInputStream input(&reader);
  Outline outline;
  while (const uint32_t tag = input.ReadTag()) {
    const int field = WireFormatLite::GetTagFieldNumber(tag);
    const bool is_delimited = WireFormatLite::GetTagWireType(tag) == WireFormatLite::WIRETYPE_LENGTH_DELIMITED;
    if (field == v1::PublishRequest::kEventsFieldNumber && is_delimited) {
      ++outline.events;
    }
    if (field == v1::PublishRequest::kRequestIdFieldNumber && is_delimited) {
      if (!WireFormatLite::ReadString(&input, &outline.request_id)) {
        return absl::InvalidArgumentError("the message is not a bridge.v1.PublishRequest");
      }
    } else if (!WireFormatLite::SkipField(&input, tag)) {
      return absl::InvalidArgumentError("the message is not a bridge.v1.PublishRequest");
    }
  }
  return outline;
}

bool ParseRequest(const grpc::ByteBuffer& bytes, v1::PublishRequest* request) {
  grpc::ByteBuffer copy(bytes);
  grpc::ProtoBufferReader reader(&copy);
  CodedInputStream input(&reader);
  input.SetRecursionLimit(kRecursionLimit);
  return request->ParseFromCodedStream(&input) && input.ConsumedEntireMessage();
}

void Reject(uint32_t index, const absl::Status& why, v1::Ack* ack) {
  v1::Rejection* const rejection = ack->add_rejected();
  rejection->set_index(index);
  rejection->set_code(static_cast<int32_t>(why.code()));
  rejection->set_message(std::string(why.message()));
}

absl::Status TooMuchWorkError() {
  return absl::ResourceExhaustedError(
      "the payloads before this one (json, message) were as much work as one request may be; send the rest in another");
}

absl::Status CheckType(const std::string& type) {
  const absl::Status status = topic::CheckEventType(type);
  return status.ok() ? status
                     : absl::Status(status.code(), absl::StrCat("type ", base::Quoted(type), ": ", status.message()));
}

absl::StatusOr<absl::Duration> RetryOf(const v1::Event& event, absl::Duration min, absl::Duration max) {
  if (!event.has_retry()) {
    return absl::ZeroDuration();
  }
  const absl::Duration retry = absl::Seconds(event.retry().seconds()) + absl::Nanoseconds(event.retry().nanos());
  if (retry < min || retry > max) {
    return absl::InvalidArgumentError(absl::StrCat("retry ", absl::FormatDuration(retry),
                                                   ": must be from http.retry_min to http.retry_max, ",
                                                   absl::FormatDuration(min), " to ", absl::FormatDuration(max)));
  }
  return retry;
}

absl::Status CheckKey(const v1::Event& event) {
  const std::string& key = event.idempotency_key();
  if (key.size() > kKeyBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat("idempotency_key ", base::Quoted(key), ": has ", key.size(),
                                                   " bytes; at most ", kKeyBytesMax, " are allowed"));
  }
  if (!key.empty() && event.ephemeral()) {
    return absl::InvalidArgumentError(
        "idempotency_key on an ephemeral event: it is delivered at most once anyway; leave the key empty");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Intake::Batch> Intake::Take(const grpc::ByteBuffer& bytes, const PublisherIdentity& publisher) const {
  ASSIGN_OR_RETURN(Outline outline, OutlineOf(bytes));
  if (outline.request_id.size() > kRequestIdBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat("request_id ", base::Quoted(outline.request_id), ": has ",
                                                   outline.request_id.size(), " bytes; at most ", kRequestIdBytesMax,
                                                   " are allowed"));
  }
  if (outline.events > kEventsRejectedMax) {
    return absl::InvalidArgumentError(absl::StrCat("the message has ", outline.events,
                                                   " events; grpc.max_events_per_request is ",
                                                   limits_.events_per_request_max));
  }
  Batch batch;
  if (outline.events > limits_.events_per_request_max) {
    const absl::Status too_many = absl::InvalidArgumentError(
        absl::StrCat("the request has ", outline.events, " events; at most grpc.max_events_per_request, ",
                     limits_.events_per_request_max, ", are allowed"));
    const absl::Status without_text(too_many.code(), "");
    batch.ack.set_request_id(outline.request_id);
    for (uint32_t i = 0; i < outline.events; ++i) {
      Reject(i, i < kRejectionTextsMax ? too_many : without_text, &batch.ack);
    }
    return batch;
  }

  google::protobuf::Arena arena;
  auto* const request = google::protobuf::Arena::CreateMessage<v1::PublishRequest>(&arena);
  if (!ParseRequest(bytes, request)) {
    return absl::InvalidArgumentError("the message is not a bridge.v1.PublishRequest; strings have to be UTF-8");
  }
  batch.ack.set_request_id(request->request_id());
  batch.records.reserve(static_cast<size_t>(request->events_size()));
  batch.indexes.reserve(static_cast<size_t>(request->events_size()));
  uint64_t work = 0;
  for (int i = 0; i < request->events_size(); ++i) {
    const auto index = static_cast<uint32_t>(i);
    if (work >= limits_.work_per_request_max) {
      Reject(index, TooMuchWorkError(), &batch.ack);
      continue;
    }
    auto record = RecordOf(std::move(*request->mutable_events(i)), publisher, &work);
    if (record.ok()) {
      batch.records.push_back(*std::move(record));
      batch.indexes.push_back(index);
    } else if (absl::IsUnauthenticated(record.status())) {
      return record.status();
    } else {
      Reject(index, record.status(), &batch.ack);
    }
  }
  return batch;
}

absl::StatusOr<log::Record> Intake::RecordOf(v1::Event&& event, const PublisherIdentity& publisher,
                                             uint64_t* work) const {
  RETURN_IF_ERROR(topic::ValidateTopic(event.topic()));
  RETURN_IF_ERROR(publisher.CheckTopic(event.topic()));
  RETURN_IF_ERROR(CheckType(event.type()));
  RETURN_IF_ERROR(CheckKey(event));
  ASSIGN_OR_RETURN(const absl::Duration retry, RetryOf(event, limits_.retry_min, limits_.retry_max));

  log::Record record;
  record.topic = std::move(*event.mutable_topic());
  record.type = std::move(*event.mutable_type());
  record.retry = retry;
  record.time = absl::Now();
  record.publisher = publisher.name();
  record.idempotency_key = std::move(*event.mutable_idempotency_key());
  record.ephemeral = event.ephemeral();
  ASSIGN_OR_RETURN(record.data, transcoder_->Transcode(std::move(event), work));

  const size_t frame_bytes = sse::EncodedSize({.id = absl::string_view(),
                                               .type = record.type,
                                               .data = record.data,
                                               .retry_ms = static_cast<uint64_t>(absl::ToInt64Milliseconds(retry))}) +
                             log::kEventIdBytesMax;
  if (frame_bytes > limits_.frame_bytes_max) {
    return absl::InvalidArgumentError(absl::StrCat("the event takes ", frame_bytes,
                                                   " bytes as a frame; at most http.max_frame_bytes, ",
                                                   limits_.frame_bytes_max, ", are allowed"));
  }
  return record;
}

v1::Ack Intake::Complete(v1::Ack ack, const std::vector<uint32_t>& indexes,
                         const absl::StatusOr<std::vector<log::Appended>>& appended) {
  log::Position first;
  log::Position last;
  for (size_t i = 0; i < indexes.size(); ++i) {
    const absl::Status& status = appended.ok() ? (*appended)[i].status : appended.status();
    if (!status.ok()) {
      Reject(indexes[i], status, &ack);
      continue;
    }
    const log::Position position = (*appended)[i].position;
    if (position.sequence == 0) {
      continue;
    }
    first = first.sequence == 0 || position.sequence < first.sequence ? position : first;
    last = position.sequence > last.sequence ? position : last;
  }
  if (first.sequence != 0) {
    ack.set_first_id(log::EventIdOf(first));
    ack.set_last_id(log::EventIdOf(last));
  }
  std::sort(ack.mutable_rejected()->begin(), ack.mutable_rejected()->end(),
            [](const v1::Rejection& a, const v1::Rejection& b) { return a.index() < b.index(); });
  return ack;
}

}  // namespace bridge::rpc
