// What topics and patterns have in common; for this folder only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace bridge::topic {

// What a byte is to a topic; kToken are [A-Za-z0-9_-].
enum class ByteClass : uint8_t { kForbidden, kToken, kDot };

inline constexpr auto kByteClasses = [] {
  std::array<ByteClass, std::numeric_limits<unsigned char>::max() + 1> classes{};
  for (const char byte : absl::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")) {
    classes[static_cast<unsigned char>(byte)] = ByteClass::kToken;
  }
  classes['.'] = ByteClass::kDot;
  return classes;
}();

inline ByteClass ClassOf(char byte) { return kByteClasses[static_cast<unsigned char>(byte)]; }

// Takes the first token off `rest`, which is not empty and a topic or pattern or the end of one, together with the dot
// behind it.
inline absl::string_view TakeToken(absl::string_view& rest) {
  const size_t dot = rest.find('.');
  const absl::string_view token = rest.substr(0, dot);
  rest.remove_prefix(dot == absl::string_view::npos ? rest.size() : dot + 1);
  return token;
}

// One of the tokens of a text, for a complaint about it.
struct TokenInText {
  absl::string_view token;
  // From 1.
  size_t number = 0;
  bool is_last = false;
};

// How messages speak of a grammar.
struct Grammar {
  // "topic", "pattern".
  absl::string_view name;
  // What would be right.
  absl::string_view rule;
};

// Finds out what is wrong with `text`: too long, an empty token, too many of them, or the first one about which
// `complaint` has something to say (it is asked about tokens that are not empty, and returns the end of a sentence that
// starts with "token 2 "; "" for none). INVALID_ARGUMENT with a message of printable ASCII, bounded in length. Not
// meant for the path of an event.
absl::Status CheckTokens(const Grammar& grammar, absl::string_view text,
                         absl::FunctionRef<std::string(const TokenInText&)> complaint);

// A complaint about the first byte of `token` that no token has; "" where there is none.
std::string ComplaintAboutByte(absl::string_view token);

}  // namespace bridge::topic
