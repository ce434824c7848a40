#include "tests/support/sse_parser.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"

namespace bridge::test {

void SseParser::Feed(absl::string_view bytes) {
  for (const char c : bytes) {
    if (was_carriage_return_ && c == '\n') {
      was_carriage_return_ = false;
      continue;
    }
    was_carriage_return_ = c == '\r';
    if (c == '\r' || c == '\n') {
      TakeLine();
    } else {
      line_ += c;
    }
  }
}

void SseParser::TakeLine() {
  const std::string line = std::exchange(line_, {});
  if (line.empty()) {
    Dispatch();
    return;
  }
  const size_t colon = line.find(':');
  if (colon == 0) {
    ++comments_;
    return;
  }
  std::string value = colon == std::string::npos ? "" : line.substr(colon + 1);
  if (!value.empty() && value[0] == ' ') {
    value.erase(0, 1);
  }
  TakeField(line.substr(0, colon), value);
}

void SseParser::TakeField(const std::string& name, const std::string& value) {
  if (name == "data") {
    data_ += value + "\n";
  } else if (name == "event") {
    type_ = value;
  } else if (name == "id") {
    if (!absl::StrContains(value, '\0')) {
      id_buffer_ = value;
    }
  } else if (name == "retry") {
    uint64_t milliseconds = 0;
    const bool is_digits =
        !value.empty() && std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (is_digits && absl::SimpleAtoi(value, &milliseconds)) {
      retry_ms_ = milliseconds;
    }
  }
}

void SseParser::Dispatch() {
  last_event_id_ = id_buffer_;
  const std::string type = std::exchange(type_, {});
  std::string data = std::exchange(data_, {});
  if (data.empty()) {
    return;
  }
  data.pop_back();
  events_.push_back({.id = last_event_id_, .type = type.empty() ? "message" : type, .data = std::move(data)});
}

}  // namespace bridge::test
