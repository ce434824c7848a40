#include "bridge/hub/control_events.h"

#include <google/protobuf/util/json_util.h>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"

#include "bridge/http/v1/http.pb.h"
#include "bridge/sse/encoder.h"

namespace bridge::hub {
namespace {

std::string Json(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string json;
  // Fails only for messages with an Any or text that is not UTF-8; these have neither.
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  return status.ok() ? json : std::string("{}");
}

uint64_t WholeMilliseconds(absl::Duration duration) {
  return static_cast<uint64_t>(std::max<int64_t>(absl::ToInt64Milliseconds(duration), 1));
}

}  // namespace

absl::string_view NameOf(GapReason reason) {
  switch (reason) {
    case GapReason::kEpoch:
      return "epoch";
    case GapReason::kTrimmed:
      return "trimmed";
    case GapReason::kSlow:
      return "slow";
    case GapReason::kAhead:
      return "ahead";
    case GapReason::kMalformed:
      return "malformed";
    case GapReason::kReplayLimit:
      return "replay_limit";
  }
  return "unknown";
}

std::string EncodeOpen(absl::string_view id, absl::Duration retry, absl::Duration heartbeat) {
  http::v1::Open open;
  open.set_heartbeat_ms(static_cast<uint32_t>(WholeMilliseconds(heartbeat)));
  return EncodeOpen(id, retry, Json(open));
}

std::string EncodeOpen(absl::string_view id, absl::Duration retry, absl::string_view data) {
  return sse::EncodeEvent({.id = id, .type = "bridge.open", .data = data, .retry_ms = WholeMilliseconds(retry)});
}

std::string EncodeGap(absl::string_view id, absl::string_view requested, absl::string_view oldest, GapReason reason) {
  constexpr size_t kRequestedBytesMax = 64;
  http::v1::Gap gap;
  // Escaped, because it may be anything, also text that is not UTF-8.
  gap.set_requested(absl::CHexEscape(requested.substr(0, kRequestedBytesMax)));
  gap.set_oldest(std::string(oldest));
  gap.set_reason(std::string(NameOf(reason)));
  return sse::EncodeEvent({.id = id, .type = "bridge.gap", .data = Json(gap)});
}

std::string EncodeExpiring(absl::string_view id, uint32_t seconds) {
  http::v1::Expiring expiring;
  expiring.set_seconds(seconds);
  return sse::EncodeEvent({.id = id, .type = "bridge.expiring", .data = Json(expiring)});
}

std::string EncodeHeartbeat(absl::string_view id) {
  return sse::EncodeEvent({.id = id, .type = "bridge.heartbeat", .data = "{}"});
}

std::string EncodeClosing(absl::string_view id, absl::string_view reason, absl::Duration retry) {
  http::v1::Closing closing;
  closing.set_reason(std::string(reason));
  return sse::EncodeEvent(
      {.id = id, .type = "bridge.closing", .data = Json(closing), .retry_ms = WholeMilliseconds(retry)});
}

}  // namespace bridge::hub
