#pragma once

#include <cstddef>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace bridge {

// Reads the events of an event stream, as far as a self-test needs it: an event's type and one line of data. Not
// thread-safe.
class EventReader {
 public:
  struct Event {
    std::string type;
    std::string data;
  };

  // Takes the next bytes, and calls back for each event that they end. False: `on_event` returned false, and what comes
  // behind that event is dropped; or a line is longer than any that the bridge sends to a self-test.
  bool Read(absl::string_view bytes, absl::FunctionRef<bool(const Event&)> on_event);

 private:
  static constexpr size_t kLineBytesMax = size_t{64} << 10;

  // The line that has begun, without its end.
  std::string line_;
  Event event_;
};

}  // namespace bridge
