#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

// The grammar of topics and patterns written down once more, as plainly as can be, to test bridge/topic/ against.
namespace bridge::test {

inline std::vector<std::string> TokensOf(absl::string_view text) { return absl::StrSplit(text, '.'); }

inline bool NaiveIsToken(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char byte) {
    return absl::ascii_isalnum(static_cast<unsigned char>(byte)) || byte == '_' || byte == '-';
  });
}

inline bool NaiveIsTopic(const std::string& text) {
  const std::vector<std::string> tokens = TokensOf(text);
  return text.size() <= 255 && tokens.size() <= 16 && std::all_of(tokens.begin(), tokens.end(), NaiveIsToken);
}

inline bool NaiveIsPattern(const std::string& text) {
  std::vector<std::string> tokens = TokensOf(text);
  if (text.size() > 255 || tokens.size() > 16) {
    return false;
  }
  if (tokens.back() == ">") {
    tokens.pop_back();
  }
  return std::all_of(tokens.begin(), tokens.end(),
                     [](const std::string& token) { return token == "*" || NaiveIsToken(token); });
}

inline bool NaiveMatches(absl::string_view pattern, absl::string_view topic) {
  std::vector<std::string> wanted = TokensOf(pattern);
  std::vector<std::string> given = TokensOf(topic);
  if (wanted.back() == ">") {
    if (given.size() < wanted.size()) {
      return false;
    }
    wanted.pop_back();
    given.resize(wanted.size());
  }
  return std::equal(wanted.begin(), wanted.end(), given.begin(), given.end(),
                    [](const std::string& want, const std::string& give) { return want == "*" || want == give; });
}

}  // namespace bridge::test
