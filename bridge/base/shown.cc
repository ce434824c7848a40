#include "bridge/base/shown.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace bridge::base {

std::string Shown(absl::string_view text, size_t bytes_max) {
  return absl::StrCat(absl::CHexEscape(text.substr(0, bytes_max)), text.size() > bytes_max ? "..." : "");
}

std::string Quoted(absl::string_view text, size_t bytes_max) {
  return absl::StrCat("\"", Shown(text, bytes_max), "\"");
}

}  // namespace bridge::base
