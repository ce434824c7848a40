#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "bridge/config/v1/config.pb.h"

namespace bridge::config {

// Where a configuration comes from.
struct Source {
  // The YAML file; without one there are only defaults and overrides.
  std::optional<std::string> path;
  // "http.heartbeat=30s": a dotted path and its value as YAML. Applied after the file, the later ones last.
  std::vector<std::string> overrides;
};

// The configuration that `source` gives: the defaults, over them the file, over it the overrides, checked as a whole.
// Every section of the result is set.
//
// Errors are one line that names the file and the line or the override, the dotted path, the value, and what would be
// right. INVALID_ARGUMENT: the configuration is wrong. NOT_FOUND, PERMISSION_DENIED, FAILED_PRECONDITION: the file
// cannot be read.
absl::StatusOr<v1::Config> Load(const Source& source);

// The same, where only each field is checked: for who asks a bridge that runs, perhaps with more overrides than these.
absl::StatusOr<v1::Config> Read(const Source& source);

// Load for a text instead of a file; `name` stands for the file in errors.
absl::StatusOr<v1::Config> LoadText(absl::string_view text, const std::string& name,
                                    const std::vector<std::string>& overrides);

}  // namespace bridge::config
