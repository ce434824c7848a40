#include "bridge/topic/topic.h"

#include <string>

#include "absl/strings/str_cat.h"

#include "bridge/topic/grammar.h"

namespace bridge::topic {
namespace {

constexpr Grammar kTopicGrammar = {
    .name = "topic", .rule = R"(tokens are [A-Za-z0-9_-]+ with a dot between them, as in "orders.eu.42")"};

// The one pass that each published event costs; why a topic is wrong is a matter for CheckTokens.
bool IsTopic(absl::string_view text) {
  if (text.size() > kTopicBytesMax) {
    return false;
  }
  size_t dots = 0;
  ByteClass previous = ByteClass::kDot;
  for (const char byte : text) {
    const ByteClass current = ClassOf(byte);
    if (current != ByteClass::kToken) {
      if (current == ByteClass::kForbidden || previous == ByteClass::kDot) {
        return false;
      }
      ++dots;
    }
    previous = current;
  }
  return previous == ByteClass::kToken && dots < kTopicTokensMax;
}

std::string Complaint(const TokenInText& part) {
  if (part.token == "*" || part.token == ">") {
    return absl::StrCat("is the wildcard \"", part.token, "\", which only patterns have");
  }
  return ComplaintAboutByte(part.token);
}

}  // namespace

absl::Status ValidateTopic(absl::string_view topic) {
  if (IsTopic(topic)) [[likely]] {
    return absl::OkStatus();
  }
  return CheckTokens(kTopicGrammar, topic, Complaint);
}

}  // namespace bridge::topic
