#include "bridge/option_file.h"

#include <cstddef>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "bridge/auth/watched_file.h"

namespace bridge {
namespace {

constexpr size_t kFileBytesMax = size_t{64} << 10;

}  // namespace

absl::StatusOr<std::string> ReadOptionFile(absl::string_view option, const std::string& path) {
  auth::WatchedFile file(path, kFileBytesMax);
  absl::StatusOr<std::optional<std::string>> bytes = file.ReadIfChanged();
  if (!bytes.ok()) {
    return absl::Status(bytes.status().code(), absl::StrCat(option, ": ", bytes.status().message()));
  }
  return std::move(*bytes).value_or("");
}

}  // namespace bridge
