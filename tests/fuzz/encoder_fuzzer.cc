// Whatever a payload holds, another parser reads back one event: its lines, and nothing that could be another field or
// event.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "tests/support/sse_parser.h"

#include "bridge/sse/encoder.h"

namespace {

std::string WithLineFeeds(const std::string& text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool is_return = text[i] == '\r';
    result += is_return ? '\n' : text[i];
    i += is_return && i + 1 < text.size() && text[i + 1] == '\n' ? 1 : 0;
  }
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const bridge::sse::Event event{.id = "1-2", .type = "t", .data = text, .retry_ms = 7};
  const std::string encoded = bridge::sse::EncodeEvent(event);
  if (encoded.size() != bridge::sse::EncodedSize(event)) {
    std::abort();
  }
  bridge::test::SseParser parser;
  parser.Feed(encoded);
  const auto events = parser.TakeEvents();
  if (events.size() != 1 || events[0].id != "1-2" || events[0].type != "t" || events[0].data != WithLineFeeds(text) ||
      parser.retry_ms() != 7U) {
    std::abort();
  }
  return 0;
}
