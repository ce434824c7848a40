#include "bridge/rpc/event_content.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "bridge/base/shown.h"
#include "bridge/base/status_macros.h"
#include "bridge/log/position.h"
#include "bridge/sse/encoder.h"
#include "bridge/topic/event_type.h"

namespace bridge::rpc {
namespace {

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

}  // namespace

absl::StatusOr<EventContent> ContentReader::Read(v1::Event&& event, uint64_t* work) const {
  RETURN_IF_ERROR(CheckType(event.type()));
  EventContent content;
  ASSIGN_OR_RETURN(content.retry, RetryOf(event, limits_.retry_min, limits_.retry_max));
  content.type = std::move(*event.mutable_type());
  ASSIGN_OR_RETURN(content.data, transcoder_->Transcode(std::move(event), work));
  const auto retry_ms = static_cast<uint64_t>(absl::ToInt64Milliseconds(content.retry));
  const size_t frame_bytes =
      sse::EncodedSize({.id = absl::string_view(), .type = content.type, .data = content.data, .retry_ms = retry_ms}) +
      log::kEventIdBytesMax;
  if (frame_bytes > limits_.frame_bytes_max) {
    return absl::InvalidArgumentError(absl::StrCat("the event takes ", frame_bytes,
                                                   " bytes as a frame; at most http.max_frame_bytes, ",
                                                   limits_.frame_bytes_max, ", are allowed"));
  }
  return content;
}

absl::StatusOr<std::string> ContentReader::ReadObject(google::protobuf::Struct&& object, size_t bytes_max,
                                                      uint64_t* work) const {
  return transcoder_->TranscodeObject(std::move(object), bytes_max, work);
}

absl::Status ContentReader::CheckWork(uint64_t work) const {
  return work < limits_.work_per_request_max
             ? absl::OkStatus()
             : absl::ResourceExhaustedError(
                   "the payloads before this one (json, message) were as much work as one request may be; send the "
                   "rest in another");
}

}  // namespace bridge::rpc
