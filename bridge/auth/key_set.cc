#include "bridge/auth/key_set.h"

#include <algorithm>

namespace bridge::auth {

bool KeySet::HasKid(absl::string_view kid) const {
  return std::ranges::any_of(keys_, [&](const Key& key) { return !key.kid().empty() && key.kid() == kid; });
}

std::vector<const Key*> KeySet::Candidates(Algorithm algorithm, const std::optional<std::string>& kid) const {
  const absl::string_view wanted = kid.has_value() && HasKid(*kid) ? absl::string_view(*kid) : "";
  std::vector<const Key*> candidates;
  for (const Key& key : keys_) {
    if (key.IsFor(algorithm) && (!kid.has_value() || key.kid() == wanted)) {
      candidates.push_back(&key);
    }
  }
  return candidates;
}

}  // namespace bridge::auth
