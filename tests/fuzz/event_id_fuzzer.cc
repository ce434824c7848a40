// Text is an event id exactly where the position that it parses to is written as that text.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "bridge/log/position.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto position = bridge::log::ParseEventId(text);
  if (position.ok() && bridge::log::EventIdOf(*position) != text) {
    std::abort();
  }
  return 0;
}
