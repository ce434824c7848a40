#include "bridge/payload/shown.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace bridge::payload {

std::string Shown(absl::string_view text) {
  constexpr size_t kBytesMax = 200;
  return absl::StrCat(absl::CHexEscape(text.substr(0, kBytesMax)), text.size() > kBytesMax ? "..." : "");
}

}  // namespace bridge::payload
