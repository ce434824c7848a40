#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "bridge/topic/pattern.h"

namespace bridge::auth {

// What a token may list, for each of subscribing, publishing, calling and serving. Asking costs time in proportion to
// the wildcards.
constexpr size_t kPatternsMax = 1000;

// Patterns that are granted. An immutable value.
class PatternSet {
 public:
  PatternSet() = default;
  // INVALID_ARGUMENT: one is no pattern, or there are more than kPatternsMax.
  static absl::StatusOr<PatternSet> Parse(const std::vector<absl::string_view>& texts);

  // All topics that `wanted` matches are matched by one of these: "orders.*" lies within "orders.>". It is not enough
  // that several of these together do.
  bool Contains(const topic::Pattern& wanted) const;
  // REQUIRES: `topic` is valid.
  bool Matches(absl::string_view topic) const;

  // In the order in which they were given.
  const std::vector<std::string>& texts() const { return texts_; }

  friend bool operator==(const PatternSet& a, const PatternSet& b) { return a.texts_ == b.texts_; }

 private:
  std::vector<std::string> texts_;
  // Those without a wildcard are the topics that they match.
  absl::flat_hash_set<std::string> topics_;
  std::vector<topic::Pattern> wildcards_;
};

// Who asks, and what they may do until when. A value.
struct Identity {
  // The token's "iss" and "sub"; empty where it has none, and for somebody without a token.
  std::string issuer = {};
  std::string subject = {};
  PatternSet subscribe;
  PatternSet publish;
  // Names of calls, which have the grammar of topics.
  PatternSet call = {};
  PatternSet serve = {};
  // On the wall clock: from then on nothing is granted.
  absl::Time expires = absl::InfiniteFuture();

  bool MaySubscribe(const topic::Pattern& pattern) const { return subscribe.Contains(pattern); }
  bool MayPublish(absl::string_view topic) const { return publish.Matches(topic); }
  bool MayCall(absl::string_view name) const { return call.Matches(name); }
};

}  // namespace bridge::auth
