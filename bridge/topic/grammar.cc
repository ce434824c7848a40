#include "bridge/topic/grammar.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

#include "bridge/base/shown.h"
#include "bridge/topic/topic.h"

namespace bridge::topic {
namespace {

// The end of a sentence that starts with the name of the token's text; "" where nothing is wrong.
std::string WhatIsWrong(const TokenInText& part, absl::FunctionRef<std::string(const TokenInText&)> complaint) {
  const std::string wrong = part.token.empty() ? "is empty" : complaint(part);
  return wrong.empty() ? "" : absl::StrCat("token ", part.number, " ", wrong);
}

}  // namespace

absl::Status CheckTokens(const Grammar& grammar, absl::string_view text,
                         absl::FunctionRef<std::string(const TokenInText&)> complaint) {
  const auto error = [&](const std::string& wrong, absl::string_view right) {
    return absl::InvalidArgumentError(absl::StrCat(grammar.name, " ", base::Quoted(text), ": ", wrong, "; ", right));
  };
  if (text.empty()) {
    return error("is empty", grammar.rule);
  }
  if (text.size() > kTopicBytesMax) {
    return error(absl::StrCat("has ", text.size(), " bytes"), absl::StrCat("at most ", kTopicBytesMax, " are allowed"));
  }
  size_t number = 0;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('.', begin), text.size());
    ++number;
    const std::string wrong = WhatIsWrong(
        {.token = text.substr(begin, end - begin), .number = number, .is_last = end == text.size()}, complaint);
    if (!wrong.empty()) {
      return error(wrong, grammar.rule);
    }
    begin = end + 1;
  }
  if (number > kTopicTokensMax) {
    return error(absl::StrCat("has ", number, " tokens"), absl::StrCat("at most ", kTopicTokensMax, " are allowed"));
  }
  return absl::OkStatus();
}

std::string ComplaintAboutByte(absl::string_view token) {
  const auto wrong = std::ranges::find_if(token, [](char byte) { return ClassOf(byte) != ByteClass::kToken; });
  return wrong == token.end() ? "" : absl::StrCat("has the byte ", base::Quoted(absl::string_view(wrong, 1)));
}

}  // namespace bridge::topic
