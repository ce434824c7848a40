#include "bridge/event_reader.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace bridge {

bool EventReader::Read(absl::string_view bytes, absl::FunctionRef<bool(const Event&)> on_event) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    absl::StrAppend(&line_, bytes.substr(0, end));
    if (line_.size() > kLineBytesMax) {
      return false;
    }
    if (end == absl::string_view::npos) {
      return true;
    }
    bytes.remove_prefix(end + 1);
    const std::string whole = std::exchange(line_, "");
    absl::string_view line = absl::StripSuffix(whole, "\r");
    if (line.empty()) {
      if (!on_event(std::exchange(event_, Event()))) {
        return false;
      }
    } else if (absl::ConsumePrefix(&line, "event: ")) {
      event_.type = std::string(line);
    } else if (absl::ConsumePrefix(&line, "data: ")) {
      event_.data = std::string(line);
    }
  }
  return true;
}

}  // namespace bridge
