#include "bridge/topic/event_type.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace bridge::topic {

absl::Status CheckEventType(absl::string_view type) {
  if (type.size() > kTypeBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("has ", type.size(), " bytes; at most ", kTypeBytesMax, " are allowed"));
  }
  if (type.find_first_of(absl::string_view("\r\n\0", 3)) != absl::string_view::npos) {
    return absl::InvalidArgumentError("must not hold CR, LF or NUL");
  }
  if (absl::StartsWith(type, "bridge.")) {
    return absl::InvalidArgumentError("types that start with \"bridge.\" are the bridge's own");
  }
  return absl::OkStatus();
}

}  // namespace bridge::topic
