#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "bridge/auth/grants.h"
#include "bridge/base/json.h"

namespace bridge::auth {

// It is logged and counted by.
constexpr size_t kSubjectBytesMax = 255;

// The claims of a token whose signature is right (RFC 7519 §4.1). Errors are UNAUTHENTICATED.

// A NumericDate; none where there is no such claim.
absl::StatusOr<std::optional<absl::Time>> ReadTime(const boost::json::object& claims, absl::string_view name);

// "sub"; empty where there is none.
absl::StatusOr<std::string> ReadSubject(const boost::json::object& claims);

// The patterns of the claim at `path` (FindPath); none where there is no such claim.
absl::StatusOr<PatternSet> ReadPatterns(const boost::json::object& claims, absl::string_view path);

// "aud" is `audience`, or a list that has it.
bool IsFor(const boost::json::object& claims, absl::string_view audience);

}  // namespace bridge::auth
