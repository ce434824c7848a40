#include "bridge/topic/pattern.h"

#include "bridge/base/status_macros.h"
#include "bridge/topic/grammar.h"

namespace bridge::topic {
namespace {

constexpr Grammar kPatternGrammar = {
    .name = "pattern",
    .rule = R"(tokens are [A-Za-z0-9_-]+, "*" or a last ">", with a dot between them, as in "orders.eu.42", )"
            R"("orders.*.created" or "orders.>")"};

constexpr absl::string_view kAnyToken = "*";
constexpr absl::string_view kAnyRest = ">";

std::string Complaint(const TokenInText& part) {
  if (part.token == kAnyToken || (part.token == kAnyRest && part.is_last)) {
    return "";
  }
  if (part.token == kAnyRest) {
    return R"(is ">", which can only be the last; before that "*" stands for one token)";
  }
  if (part.token.find_first_of("*>") != absl::string_view::npos) {
    return "has a wildcard beside other bytes; a wildcard is a whole token";
  }
  return ComplaintAboutByte(part.token);
}

// Whether `pattern` matches whatever `text` stands for, which is a topic or a pattern itself: what matches every token,
// wildcard or not, is
// "*", and what matches ">" is ">" alone.
bool Covers(absl::string_view pattern, absl::string_view text) {
  while (!pattern.empty() && !text.empty()) {
    const absl::string_view wanted = TakeToken(pattern);
    const absl::string_view given = TakeToken(text);
    if (wanted == kAnyRest) {
      return true;
    }
    if (given == kAnyRest || (wanted != kAnyToken && wanted != given)) {
      return false;
    }
  }
  return pattern.empty() && text.empty();
}

}  // namespace

absl::StatusOr<Pattern> Pattern::Parse(absl::string_view text) {
  RETURN_IF_ERROR(CheckTokens(kPatternGrammar, text, Complaint));
  return Pattern(text, text.find_first_of("*>") == absl::string_view::npos);
}

bool Pattern::Matches(absl::string_view topic) const { return is_literal_ ? topic == text_ : Covers(text_, topic); }

bool Pattern::Contains(const Pattern& other) const { return Covers(text_, other.text_); }

}  // namespace bridge::topic
