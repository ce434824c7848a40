#include "bridge/auth/grants.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "bridge/base/status_macros.h"

namespace bridge::auth {

absl::StatusOr<PatternSet> PatternSet::Parse(const std::vector<absl::string_view>& texts) {
  if (texts.size() > kPatternsMax) {
    return absl::InvalidArgumentError(absl::StrCat(texts.size(), " patterns; at most ", kPatternsMax, " are accepted"));
  }
  PatternSet set;
  for (const absl::string_view text : texts) {
    ASSIGN_OR_RETURN(topic::Pattern pattern, topic::Pattern::Parse(text));
    set.texts_.emplace_back(text);
    if (pattern.IsLiteral()) {
      set.topics_.emplace(text);
    } else {
      set.wildcards_.push_back(std::move(pattern));
    }
  }
  return set;
}

bool PatternSet::Contains(const topic::Pattern& wanted) const {
  return (wanted.IsLiteral() && topics_.contains(wanted.text())) ||
         std::ranges::any_of(wildcards_, [&](const topic::Pattern& granted) { return granted.Contains(wanted); });
}

bool PatternSet::Matches(absl::string_view topic) const {
  return topics_.contains(topic) ||
         std::ranges::any_of(wildcards_, [&](const topic::Pattern& granted) { return granted.Matches(topic); });
}

}  // namespace bridge::auth
