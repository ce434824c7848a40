#include "bridge/auth/claims.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "bridge/auth/json_object.h"

namespace bridge::auth {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

// The end of the year 9999, as of google.protobuf.Timestamp.
constexpr double kUnixSecondsMax = 253402300799.0;

}  // namespace

absl::StatusOr<std::optional<absl::Time>> ReadTime(const Struct& claims, absl::string_view name) {
  const Value* const claim = FindMember(claims, name);
  if (claim == nullptr) {
    return std::nullopt;
  }
  const double seconds = claim->number_value();
  if (claim->kind_case() != Value::kNumberValue || !(seconds >= 0 && seconds <= kUnixSecondsMax)) {
    return absl::UnauthenticatedError(absl::StrCat("the token's ", name, " is no number of seconds since 1970"));
  }
  return absl::FromUnixSeconds(static_cast<int64_t>(seconds)) + absl::Seconds(seconds - std::floor(seconds));
}

absl::StatusOr<std::string> ReadSubject(const Struct& claims) {
  if (FindMember(claims, "sub") == nullptr) {
    return "";
  }
  const std::string* const subject = FindString(claims, "sub");
  if (subject == nullptr || subject->size() > kSubjectBytesMax) {
    return absl::UnauthenticatedError(
        absl::StrCat("the token's sub is not a text of at most ", kSubjectBytesMax, " bytes"));
  }
  return *subject;
}

absl::StatusOr<PatternSet> ReadPatterns(const Struct& claims, absl::string_view path) {
  const Value* const claim = FindPath(claims, path);
  if (claim == nullptr) {
    return PatternSet();
  }
  const auto& values = claim->list_value().values();
  const bool is_list = claim->has_list_value() && std::ranges::all_of(values, [](const Value& value) {
                         return value.kind_case() == Value::kStringValue;
                       });
  if (!is_list) {
    return absl::UnauthenticatedError(
        absl::StrCat("the token's ", path, R"( is no list of patterns, as in ["orders.>", "prices.eu"])"));
  }
  std::vector<absl::string_view> texts;
  for (const Value& value : values) {
    texts.emplace_back(value.string_value());
  }
  absl::StatusOr<PatternSet> patterns = PatternSet::Parse(texts);
  if (!patterns.ok()) {
    return absl::UnauthenticatedError(absl::StrCat("the token's ", path, ": ", patterns.status().message()));
  }
  return patterns;
}

bool IsFor(const Struct& claims, absl::string_view audience) {
  const Value* const claim = FindMember(claims, "aud");
  if (claim == nullptr) {
    return false;
  }
  const auto is_audience = [&](const Value& value) {
    return value.kind_case() == Value::kStringValue && value.string_value() == audience;
  };
  return is_audience(*claim) || std::ranges::any_of(claim->list_value().values(), is_audience);
}

}  // namespace bridge::auth
