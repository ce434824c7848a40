#include "bridge/config/environment.h"

#include <algorithm>
#include <cstdlib>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "bridge/base/shown.h"
#include "bridge/config/value_syntax.h"

namespace bridge::config {
namespace {

// Names that hold each other's expansions many times over must not fill the memory.
constexpr size_t kExpandedBytesMax = size_t{64} << 10;

bool IsName(absl::string_view name) {
  return !name.empty() && !absl::ascii_isdigit(static_cast<unsigned char>(name[0])) &&
         std::ranges::all_of(name,
                             [](char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_'; });
}

}  // namespace

absl::StatusOr<std::string> ExpandEnvironment(absl::string_view text) {
  std::string expanded;
  while (expanded.size() <= kExpandedBytesMax) {
    const size_t start = text.find("${");
    if (start == absl::string_view::npos) {
      absl::StrAppend(&expanded, text);
      break;
    }
    if (start > 0 && text[start - 1] == '$') {
      absl::StrAppend(&expanded, text.substr(0, start - 1), "${");
      text.remove_prefix(start + 2);
      continue;
    }
    absl::StrAppend(&expanded, text.substr(0, start));
    text.remove_prefix(start + 2);
    const size_t end = text.find('}');
    const std::string name(text.substr(0, end));
    if (end == absl::string_view::npos || !IsName(name)) {
      return absl::InvalidArgumentError(
          absl::StrCat("has ", base::Quoted(absl::StrCat("${", name, end == absl::string_view::npos ? "" : "}")),
                       ", which names no environment variable: write ${NAME}, with letters, digits and _; a text "
                       "\"${\" is written $${"));
    }
    const char* const value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe): see the contract
    if (value == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("needs the environment variable ", name, ", which is not set"));
    }
    absl::StrAppend(&expanded, value);
    text.remove_prefix(end + 1);
  }
  if (expanded.size() > kExpandedBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat("is too long: a value has at most ", FormatSize(kExpandedBytesMax)));
  }
  return expanded;
}

}  // namespace bridge::config
