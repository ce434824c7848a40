#include "bridge/sse/encoder.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace bridge::sse {
namespace {

constexpr absl::string_view kId = "id: ";
constexpr absl::string_view kEvent = "event: ";
constexpr absl::string_view kRetry = "retry: ";
constexpr absl::string_view kData = "data: ";

bool IsTypeWritten(absl::string_view type) { return !type.empty() && type != "message"; }

size_t DecimalDigits(uint64_t number) {
  size_t digits = 1;
  while (number >= 10) {
    number /= 10;
    ++digits;
  }
  return digits;
}

// The end of the line that starts at `begin`: the first CR or LF, or `end`.
const char* LineEnd(const char* begin, const char* end) {
  if (begin == end) {
    return end;
  }
  const auto length = static_cast<size_t>(end - begin);
  const auto* line_feed = static_cast<const char*>(std::memchr(begin, '\n', length));
  const char* stop = line_feed != nullptr ? line_feed : end;
  const auto* carriage_return = static_cast<const char*>(std::memchr(begin, '\r', static_cast<size_t>(stop - begin)));
  return carriage_return != nullptr ? carriage_return : stop;
}

// Calls `on_line` with each line of `data`; there is always one.
template <typename OnLine>
void ForEachLine(absl::string_view data, OnLine on_line) {
  const char* begin = data.data();
  const char* const end = begin + data.size();
  while (true) {
    const char* const line_end = LineEnd(begin, end);
    on_line(absl::string_view(begin, static_cast<size_t>(line_end - begin)));
    if (line_end == end) {
      return;
    }
    begin = line_end + 1;
    if (*line_end == '\r' && begin != end && *begin == '\n') {
      ++begin;
    }
  }
}

char* Write(absl::string_view text, char* out) { return std::copy(text.begin(), text.end(), out); }

char* WriteLine(absl::string_view name, absl::string_view value, char* out) {
  out = Write(name, out);
  out = Write(value, out);
  *out = '\n';
  return out + 1;
}

}  // namespace

size_t EncodedSize(const Event& event) {
  size_t size = 1;  // the empty line at the end
  if (!event.id.empty()) {
    size += kId.size() + event.id.size() + 1;
  }
  if (IsTypeWritten(event.type)) {
    size += kEvent.size() + event.type.size() + 1;
  }
  if (event.retry_ms != 0) {
    size += kRetry.size() + DecimalDigits(event.retry_ms) + 1;
  }
  ForEachLine(event.data, [&](absl::string_view line) { size += kData.size() + line.size() + 1; });
  return size;
}

char* WriteEvent(const Event& event, char* out) {
  if (IsTypeWritten(event.type)) {
    out = WriteLine(kEvent, event.type, out);
  }
  if (event.retry_ms != 0) {
    out = Write(kRetry, out);
    out = std::to_chars(out, out + DecimalDigits(event.retry_ms), event.retry_ms).ptr;
    *out++ = '\n';
  }
  ForEachLine(event.data, [&](absl::string_view line) { out = WriteLine(kData, line, out); });
  if (!event.id.empty()) {
    // Behind the data: some clients take an id for seen when its line has come, and would skip an event that is cut off
    // after it.
    out = WriteLine(kId, event.id, out);
  }
  *out++ = '\n';
  return out;
}

std::string EncodeEvent(const Event& event) {
  std::string text(EncodedSize(event), '\0');
  WriteEvent(event, text.data());
  return text;
}

std::string WrapChunk(absl::string_view text) { return absl::StrCat(absl::Hex(text.size()), "\r\n", text, "\r\n"); }

}  // namespace bridge::sse
