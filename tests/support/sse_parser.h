#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace bridge::test {

// An event as a browser would dispatch it.
struct SseEvent {
  std::string id;  // the last event id as of then
  std::string type = "message";
  std::string data;

  friend bool operator==(const SseEvent&, const SseEvent&) = default;
};

// Reads an event stream as WHATWG HTML §9.2.6 says, one byte at a time; written without a look at the bridge's encoder.
class SseParser {
 public:
  void Feed(absl::string_view bytes);

  // The events so far, which are taken away.
  std::vector<SseEvent> TakeEvents() { return std::exchange(events_, {}); }

  const std::string& last_event_id() const { return last_event_id_; }
  std::optional<uint64_t> retry_ms() const { return retry_ms_; }
  uint64_t comments() const { return comments_; }

 private:
  void TakeLine();
  void TakeField(const std::string& name, const std::string& value);
  void Dispatch();

  bool was_carriage_return_ = false;
  std::string line_;
  std::string data_;
  std::string type_;
  std::string id_buffer_;
  std::string last_event_id_;
  std::optional<uint64_t> retry_ms_;
  uint64_t comments_ = 0;
  std::vector<SseEvent> events_;
};

}  // namespace bridge::test
