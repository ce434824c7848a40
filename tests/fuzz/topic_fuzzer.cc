// Topics and patterns from strangers: judged as the naive model judges them, and complained about in bounded printable
// ASCII.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "tests/support/naive_topics.h"

#include "bridge/topic/pattern.h"
#include "bridge/topic/topic.h"

namespace bridge {
namespace {

constexpr size_t kMessageBytesMax = 700;

void Check(bool holds) {
  if (!holds) {
    std::abort();
  }
}

void CheckComplaint(const absl::Status& status) {
  Check(absl::IsInvalidArgument(status));
  Check(status.message().size() <= kMessageBytesMax);
  Check(std::all_of(status.message().begin(), status.message().end(),
                    [](char byte) { return absl::ascii_isprint(static_cast<unsigned char>(byte)); }));
}

void CheckTopic(const std::string& text) {
  const absl::Status status = topic::ValidateTopic(text);
  Check(status.ok() == test::NaiveIsTopic(text));
  if (!status.ok()) {
    CheckComplaint(status);
  }
}

// `topic` is the text that the pattern is tried on where it is one.
void CheckPattern(const std::string& text, const std::string& topic) {
  const absl::StatusOr<topic::Pattern> pattern = topic::Pattern::Parse(text);
  Check(pattern.ok() == test::NaiveIsPattern(text));
  if (!pattern.ok()) {
    CheckComplaint(pattern.status());
    return;
  }
  Check(pattern->text() == text);
  Check(pattern->IsLiteral() == test::NaiveIsTopic(text));
  Check(pattern->Contains(*pattern));
  if (test::NaiveIsTopic(topic)) {
    const bool matches = pattern->Matches(topic);
    Check(matches == test::NaiveMatches(text, topic));
    Check(matches == pattern->Contains(topic::Pattern::Parse(topic).value()));
  }
}

}  // namespace
}  // namespace bridge

// The input's first line is tried as a topic and as a pattern, the pattern also on what follows.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string input(data, data + size);
  const size_t line_end = std::min(input.find('\n'), input.size());
  const std::string text = input.substr(0, line_end);
  bridge::CheckTopic(text);
  bridge::CheckPattern(text, line_end == input.size() ? text : input.substr(line_end + 1));
  return 0;
}
