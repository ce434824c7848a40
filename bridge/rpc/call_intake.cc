#include "bridge/rpc/call_intake.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

#include "bridge/base/annotated.h"
#include "bridge/base/shown.h"
#include "bridge/base/status_macros.h"
#include "bridge/calls/call_record.h"
#include "bridge/topic/topic.h"

namespace bridge::rpc {
namespace {

constexpr size_t kWorkerIdBytesMax = 128;
constexpr size_t kNamesMax = 100;
constexpr uint32_t kConcurrentMax = 10'000;
constexpr size_t kHeldMax = 10'000;
constexpr size_t kEndMessageBytesMax = 1024;
constexpr size_t kUsageBytesMax = size_t{16} << 10;
// UNAUTHENTICATED, the last google.rpc.Code.
constexpr int32_t kCodeMax = 16;

absl::Status TooManyError(absl::string_view what, size_t count, size_t max) {
  return absl::InvalidArgumentError(
      absl::StrCat("serve.", what, ": there are ", count, "; at most ", max, " are allowed"));
}

absl::Status CheckWorker(const v1::Serve& serve) {
  const std::string& id = serve.worker_id();
  if (id.empty() || id.size() > kWorkerIdBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat("serve.worker_id ", base::Quoted(id), ": has ", id.size(),
                                                   " bytes; choose one of 1 to ", kWorkerIdBytesMax,
                                                   " bytes for the process, and use it on each of its streams"));
  }
  if (serve.max_concurrent() > kConcurrentMax) {
    return absl::InvalidArgumentError(absl::StrCat("serve.max_concurrent: is ", serve.max_concurrent(), "; at most ",
                                                   kConcurrentMax, " are allowed"));
  }
  return absl::OkStatus();
}

// An event of an answer goes where its call says.
absl::Status CheckUnset(const v1::Event& event) {
  if (!event.topic().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("topic ", base::Quoted(event.topic()), ": is set on an event of an answer; leave it empty"));
  }
  if (!event.idempotency_key().empty()) {
    return absl::InvalidArgumentError(absl::StrCat("idempotency_key ", base::Quoted(event.idempotency_key()),
                                                   ": is set on an event of an answer, which is known by its index; "
                                                   "leave it empty"));
  }
  if (event.ephemeral()) {
    return absl::InvalidArgumentError("ephemeral: is set on an event of an answer, and all of those are kept");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckCallId(absl::string_view call_id) {
  return calls::IsCallId(call_id)
             ? absl::OkStatus()
             : absl::InvalidArgumentError(absl::StrCat("call_id ", base::Quoted(call_id), ": is no call's; those are ",
                                                       calls::kCallIdBytes, " of [A-Za-z0-9_-], as they come in Call"));
}

absl::Status CallIntake::CheckServe(const RequestOutline& outline) {
  if (outline.serve_names > kNamesMax) {
    return TooManyError("names", outline.serve_names, kNamesMax);
  }
  return outline.serve_held > kHeldMax ? TooManyError("held", outline.serve_held, kHeldMax) : absl::OkStatus();
}

absl::StatusOr<CallIntake::Serving> CallIntake::TakeServe(v1::Serve&& serve, const PublisherIdentity& publisher) {
  RETURN_IF_ERROR(CheckWorker(serve));
  Serving serving;
  for (int i = 0; i < serve.names_size(); ++i) {
    std::string& name = *serve.mutable_names(i);
    RETURN_IF_ERROR(base::Annotated(topic::ValidateTopic(name), absl::StrCat("serve.names[", i, "]: ")));
    absl::Status status = publisher.CheckServe(name);
    if (absl::IsUnauthenticated(status)) {
      return status;
    }
    if (status.ok()) {
      serving.serve.names.push_back(std::move(name));
      continue;
    }
    v1::Rejection& rejection = *serving.answer.add_rejected();
    rejection.set_index(static_cast<uint32_t>(i));
    rejection.set_code(static_cast<int32_t>(status.code()));
    rejection.set_message(std::string(status.message()));
  }
  for (int i = 0; i < serve.held_size(); ++i) {
    v1::Held& held = *serve.mutable_held(i);
    RETURN_IF_ERROR(base::Annotated(CheckCallId(held.call_id()), absl::StrCat("serve.held[", i, "]: ")));
    serving.serve.held.push_back({.call_id = std::move(*held.mutable_call_id()), .attempt = held.attempt()});
  }
  serving.serve.worker_id = std::move(*serve.mutable_worker_id());
  serving.serve.max_concurrent = serve.max_concurrent();
  return serving;
}

absl::StatusOr<calls::CallUpdate> CallIntake::TakeUpdate(v1::CallUpdate& update, uint64_t* work) const {
  RETURN_IF_ERROR(CheckCallId(update.call_id()));
  calls::CallUpdate taken;
  taken.call_id = std::move(*update.mutable_call_id());
  taken.attempt = update.attempt();
  taken.first_index = update.first_index();
  taken.rejected = TakeEvents(update, work, &taken);
  if (taken.rejected.ok() && update.has_end()) {
    taken.rejected = TakeEnd(*update.mutable_end(), work, &taken);
  }
  return taken;
}

absl::Status CallIntake::TakeEvents(v1::CallUpdate& update, uint64_t* work, calls::CallUpdate* taken) const {
  taken->events.reserve(static_cast<size_t>(update.events_size()));
  for (v1::Event& event : *update.mutable_events()) {
    RETURN_IF_ERROR(content_->CheckWork(*work));
    RETURN_IF_ERROR(CheckUnset(event));
    ASSIGN_OR_RETURN(EventContent content, content_->Read(std::move(event), work));
    taken->events.push_back({.type = std::move(content.type), .data = std::move(content.data), .retry = content.retry});
  }
  return absl::OkStatus();
}

absl::Status CallIntake::TakeEnd(v1::CallEnd& end, uint64_t* work, calls::CallUpdate* taken) const {
  RETURN_IF_ERROR(content_->CheckWork(*work));
  if (end.code() < 0 || end.code() > kCodeMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("end.code: ", end.code(), " is no google.rpc.Code; those are 0 to ", kCodeMax));
  }
  if (end.message().size() > kEndMessageBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat("end.message: has ", end.message().size(), " bytes; at most ",
                                                   kEndMessageBytesMax, " are allowed"));
  }
  if (end.has_usage()) {
    absl::StatusOr<std::string> usage = content_->ReadObject(std::move(*end.mutable_usage()), kUsageBytesMax, work);
    RETURN_IF_ERROR(base::Annotated(usage.status(), "end.usage: "));
    taken->end.usage = *std::move(usage);
  }
  taken->end.code = end.code();
  taken->end.message = std::move(*end.mutable_message());
  taken->has_end = true;
  return absl::OkStatus();
}

calls::CallAck CallIntake::AckOfNone(absl::string_view call_id, uint32_t attempt, const absl::Status& why) {
  return {.id = std::string(call_id.size() <= kWorkerIdBytesMax ? call_id : absl::string_view()),
          .attempt = attempt,
          .next_index = 0,
          .status = why};
}

}  // namespace bridge::rpc
