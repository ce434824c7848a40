#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"

namespace demo {

// A question and what a language model would say, for the demo to type.
struct QuestionAndAnswer {
  std::string_view question;
  std::string_view answer;
};

absl::Span<const QuestionAndAnswer> Answers();

// Cuts `text` as a language model's tokenizer would: words with the space before them, long words in parts, never
// inside of a character. Joined, the tokens are `text` again.
std::vector<std::string> Tokenize(std::string_view text);

}  // namespace demo
