#pragma once

#include <compare>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "bridge/base/ref_counted_string.h"

namespace bridge::topic {

// A topic in which wildcards may stand for tokens, by NATS's rules: "*" is a whole token and stands for any one, ">" is
// the last token and stands for one or more. "orders.*.created" matches "orders.eu.created"; "orders.>" matches that
// and "orders.eu", not "orders".
//
// A value, whose copies share the text. It has the limits of a topic (kTopicBytesMax, kTopicTokensMax), the wildcards
// counted.
class Pattern {
 public:
  // INVALID_ARGUMENT: `text` is no pattern; the message says where, and what would be right.
  static absl::StatusOr<Pattern> Parse(absl::string_view text);

  absl::string_view text() const { return text_; }
  const base::RefCountedString& shared_text() const { return text_; }

  // It has no wildcard: it matches the one topic that is its text.
  bool IsLiteral() const { return is_literal_; }

  // REQUIRES: `topic` is valid (topic.h).
  bool Matches(absl::string_view topic) const;

  // Whether this pattern matches every topic that `other` matches. The limits of topics do not count for it: "a.*" is
  // not said to contain "a.>", however few tokens ">" has room for.
  bool Contains(const Pattern& other) const;

  friend bool operator==(const Pattern&, const Pattern&) = default;
  friend std::strong_ordering operator<=>(const Pattern&, const Pattern&) = default;

  template <typename H>
  friend H AbslHashValue(H state, const Pattern& pattern) {
    return H::combine(std::move(state), pattern.text_);
  }

 private:
  Pattern(absl::string_view text, bool is_literal) : text_(text), is_literal_(is_literal) {}

  base::RefCountedString text_;
  // Follows from the text.
  bool is_literal_;
};

}  // namespace bridge::topic
