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

namespace json = boost::json;

// The end of the year 9999, as of google.protobuf.Timestamp.
constexpr double kUnixSecondsMax = 253402300799.0;

}  // namespace

absl::StatusOr<std::optional<absl::Time>> ReadTime(const json::object& claims, absl::string_view name) {
  const json::value* const claim = FindMember(claims, name);
  if (claim == nullptr) {
    return std::nullopt;
  }
  json::error_code error;
  const auto seconds = claim->to_number<double>(error);
  if (error || !(seconds >= 0 && seconds <= kUnixSecondsMax)) {
    return absl::UnauthenticatedError(absl::StrCat("the token's ", name, " is no number of seconds since 1970"));
  }
  return absl::FromUnixSeconds(static_cast<int64_t>(seconds)) + absl::Seconds(seconds - std::floor(seconds));
}

absl::StatusOr<std::string> ReadSubject(const json::object& claims) {
  if (FindMember(claims, "sub") == nullptr) {
    return "";
  }
  const std::optional<absl::string_view> subject = FindText(claims, "sub");
  if (!subject.has_value() || subject->size() > kSubjectBytesMax) {
    return absl::UnauthenticatedError(
        absl::StrCat("the token's sub is not a text of at most ", kSubjectBytesMax, " bytes"));
  }
  return std::string(*subject);
}

absl::StatusOr<PatternSet> ReadPatterns(const json::object& claims, absl::string_view path) {
  const json::value* const claim = FindPath(claims, path);
  if (claim == nullptr) {
    return PatternSet();
  }
  const json::array* const list = claim->if_array();
  if (list == nullptr || !std::ranges::all_of(*list, &json::value::is_string)) {
    return absl::UnauthenticatedError(
        absl::StrCat("the token's ", path, R"( is no list of patterns, as in ["orders.>", "prices.eu"])"));
  }
  std::vector<absl::string_view> texts;
  texts.reserve(list->size());
  for (const json::value& text : *list) {
    texts.push_back(base::TextOf(text.get_string()));
  }
  absl::StatusOr<PatternSet> patterns = PatternSet::Parse(texts);
  if (!patterns.ok()) {
    return absl::UnauthenticatedError(absl::StrCat("the token's ", path, ": ", patterns.status().message()));
  }
  return patterns;
}

bool IsFor(const json::object& claims, absl::string_view audience) {
  const json::value* const claim = FindMember(claims, "aud");
  if (claim == nullptr) {
    return false;
  }
  const auto is_audience = [&](const json::value& value) {
    return value.is_string() && base::TextOf(value.get_string()) == audience;
  };
  const json::array* const list = claim->if_array();
  return list == nullptr ? is_audience(*claim) : std::ranges::any_of(*list, is_audience);
}

}  // namespace bridge::auth
