#include "bridge/rpc/intake.h"

#include <algorithm>
#include <string>
#include <utility>

#include <google/protobuf/arena.h>
#include <google/protobuf/io/coded_stream.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "bridge/base/shown.h"
#include "bridge/base/status_macros.h"
#include "bridge/calls/call_record.h"
#include "bridge/rpc/request_outline.h"
#include "bridge/topic/topic.h"

namespace bridge::rpc {
namespace {

using google::protobuf::io::CodedInputStream;

constexpr size_t kRequestIdBytesMax = 128;
constexpr size_t kKeyBytesMax = 128;

// Deep enough for 64 levels of JSON, each of which takes up to three messages; depth is then one event's rejection.
constexpr int kRecursionLimit = 300;

// A request with more events than this gets its rejections without a text each.
constexpr size_t kRejectionTextsMax = 10'000;
// With more than this it gets none, and its stream ends: the rejections would be larger than the request.
constexpr size_t kEventsRejectedMax = 100'000;

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

size_t Intake::Batch::events() const {
  size_t events = records.size() + call_acks.size();
  for (const calls::CallUpdate& update : updates) {
    events += std::max(update.events.size(), size_t{1});
  }
  return events;
}

size_t Intake::Batch::overhead_bytes() const {
  size_t bytes = records.size() * sizeof(log::Record) + updates.size() * sizeof(calls::CallUpdate);
  for (const calls::CallUpdate& update : updates) {
    bytes += update.events.size() * sizeof(calls::AnswerEvent);
  }
  if (serving.has_value()) {
    bytes += serving->serve.held.size() * sizeof(calls::Serve::Held);
  }
  return bytes;
}

absl::StatusOr<Intake::Batch> Intake::Take(const grpc::ByteBuffer& bytes, const PublisherIdentity& publisher,
                                           const absl::Status& calls) const {
  ASSIGN_OR_RETURN(const RequestOutline outline, OutlineOf(bytes));
  RETURN_IF_ERROR(CheckOutline(outline, calls));
  if (outline.events + outline.update_events > limits_.events_per_request_max) {
    return RejectAll(bytes, outline);
  }
  google::protobuf::Arena arena;
  auto* const request = google::protobuf::Arena::CreateMessage<v1::PublishRequest>(&arena);
  if (!ParseRequest(bytes, request)) {
    return absl::InvalidArgumentError("the message is not a bridge.v1.PublishRequest; strings have to be UTF-8");
  }
  Batch batch;
  batch.ack.set_request_id(request->request_id());
  uint64_t work = 0;
  RETURN_IF_ERROR(TakeEvents(*request, publisher, &work, &batch));
  RETURN_IF_ERROR(TakeCalls(*request, publisher, &work, &batch));
  return batch;
}

absl::Status Intake::CheckOutline(const RequestOutline& outline, const absl::Status& calls) const {
  if (outline.request_id.size() > kRequestIdBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat("request_id ", base::Quoted(outline.request_id), ": has ",
                                                   outline.request_id.size(), " bytes; at most ", kRequestIdBytesMax,
                                                   " are allowed"));
  }
  if (outline.has_serve || outline.updates > 0) {
    RETURN_IF_ERROR(calls);
  }
  const size_t events = outline.events + outline.update_events;
  if (events > kEventsRejectedMax) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the message has ", events, " events; grpc.max_events_per_request is ", limits_.events_per_request_max));
  }
  if (outline.has_serve && events > limits_.events_per_request_max) {
    return absl::InvalidArgumentError(absl::StrCat("serve: comes with ", events,
                                                   " events; send it in a request of at most ",
                                                   limits_.events_per_request_max, " (grpc.max_events_per_request)"));
  }
  return CallIntake::CheckServe(outline);
}

Intake::Batch Intake::RejectAll(const grpc::ByteBuffer& bytes, const RequestOutline& outline) const {
  const absl::Status too_many = absl::InvalidArgumentError(
      absl::StrCat("the request has ", outline.events + outline.update_events,
                   " events; at most grpc.max_events_per_request, ", limits_.events_per_request_max, ", are allowed"));
  const absl::Status without_text(too_many.code(), "");
  size_t told = 0;
  const auto why = [&]() -> const absl::Status& { return told++ < kRejectionTextsMax ? too_many : without_text; };
  Batch batch;
  batch.ack.set_request_id(outline.request_id);
  for (uint32_t i = 0; i < outline.events; ++i) {
    Reject(i, why(), &batch.ack);
  }
  for (UpdateHead& head : UpdateHeadsOf(bytes, calls::kCallIdBytes)) {
    if (CheckCallId(head.call_id).ok()) {
      calls::CallUpdate update;
      update.call_id = std::move(head.call_id);
      update.attempt = head.attempt;
      update.first_index = head.first_index;
      update.rejected = why();
      batch.updates.push_back(std::move(update));
    } else {
      batch.call_acks.push_back(CallIntake::AckOfNone("", head.attempt, why()));
    }
  }
  return batch;
}

absl::Status Intake::TakeEvents(v1::PublishRequest& request, const PublisherIdentity& publisher, uint64_t* work,
                                Batch* batch) const {
  batch->records.reserve(static_cast<size_t>(request.events_size()));
  batch->indexes.reserve(static_cast<size_t>(request.events_size()));
  for (int i = 0; i < request.events_size(); ++i) {
    const auto index = static_cast<uint32_t>(i);
    if (const absl::Status status = content_.CheckWork(*work); !status.ok()) {
      Reject(index, status, &batch->ack);
      continue;
    }
    auto record = RecordOf(std::move(*request.mutable_events(i)), publisher, work);
    if (record.ok()) {
      batch->records.push_back(*std::move(record));
      batch->indexes.push_back(index);
    } else if (absl::IsUnauthenticated(record.status())) {
      return record.status();
    } else {
      Reject(index, record.status(), &batch->ack);
    }
  }
  return absl::OkStatus();
}

absl::Status Intake::TakeCalls(v1::PublishRequest& request, const PublisherIdentity& publisher, uint64_t* work,
                               Batch* batch) const {
  if (request.has_serve()) {
    ASSIGN_OR_RETURN(batch->serving, CallIntake::TakeServe(std::move(*request.mutable_serve()), publisher));
  }
  batch->updates.reserve(static_cast<size_t>(request.call_updates_size()));
  for (v1::CallUpdate& update : *request.mutable_call_updates()) {
    absl::StatusOr<calls::CallUpdate> taken = calls_.TakeUpdate(update, work);
    if (taken.ok()) {
      batch->updates.push_back(*std::move(taken));
    } else {
      batch->call_acks.push_back(CallIntake::AckOfNone(update.call_id(), update.attempt(), taken.status()));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<log::Record> Intake::RecordOf(v1::Event&& event, const PublisherIdentity& publisher,
                                             uint64_t* work) const {
  RETURN_IF_ERROR(topic::ValidateTopic(event.topic()));
  RETURN_IF_ERROR(publisher.CheckTopic(event.topic()));
  RETURN_IF_ERROR(CheckKey(event));
  log::Record record;
  record.topic = std::move(*event.mutable_topic());
  record.time = absl::Now();
  record.publisher = publisher.name();
  record.idempotency_key = std::move(*event.mutable_idempotency_key());
  record.ephemeral = event.ephemeral();
  ASSIGN_OR_RETURN(EventContent content, content_.Read(std::move(event), work));
  record.type = std::move(content.type);
  record.data = std::move(content.data);
  record.retry = content.retry;
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
