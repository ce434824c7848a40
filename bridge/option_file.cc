#include "bridge/option_file.h"

#include <cstddef>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "bridge/auth/watched_file.h"
#include "bridge/base/annotated.h"

namespace bridge {
namespace {

constexpr size_t kFileBytesMax = size_t{64} << 10;

}  // namespace

absl::StatusOr<std::string> ReadOptionFile(absl::string_view option, const std::string& path) {
  auth::WatchedFile file(path, kFileBytesMax);
  absl::StatusOr<std::optional<std::string>> bytes = file.ReadIfChanged();
  if (!bytes.ok()) {
    return base::Annotated(bytes.status(), absl::StrCat(option, ": "));
  }
  return std::move(*bytes).value_or("");
}

}  // namespace bridge
