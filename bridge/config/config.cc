#include "bridge/config/config.h"

#include <cerrno>
#include <cstddef>
#include <fstream>
#include <ranges>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

#include "bridge/base/annotated.h"
#include "bridge/base/status_macros.h"
#include "bridge/config/schema.h"
#include "bridge/config/section_reader.h"
#include "bridge/config/validate.h"
#include "bridge/config/value_syntax.h"
#include "bridge/config/yaml_reader.h"

namespace bridge::config {
namespace {

// A thousand times what a full configuration needs.
constexpr size_t kFileBytesMax = size_t{1} << 20;
// A path of the configuration's fields has three parts.
constexpr size_t kOverridePartsMax = 8;

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string text(kFileBytesMax + 1, '\0');
  if (!file || file.read(text.data(), static_cast<std::streamsize>(text.size())).bad()) {
    return absl::ErrnoToStatus(errno, absl::StrCat(path, ": the configuration file cannot be read"));
  }
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kFileBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": is larger than ", FormatSize(kFileBytesMax), ", no configuration is"));
  }
  return text;
}

absl::Status ApplyFile(absl::string_view text, const std::string& name, v1::Config& config) {
  const YamlText yaml = {.text = text, .name = name};
  ASSIGN_OR_RETURN(const YamlNode root, ReadYaml(yaml));
  return ReadSection(root, yaml, config);
}

absl::Status ApplyOverride(const std::string& override_text, v1::Config& config) {
  const std::string name = absl::StrCat("--set ", override_text);
  const std::pair<absl::string_view, absl::string_view> split = absl::StrSplit(override_text, absl::MaxSplits('=', 1));
  const std::vector<std::string> parts = absl::StrSplit(split.first, '.');
  if (!absl::StrContains(override_text, '=') || parts.size() > kOverridePartsMax) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": write --set path=value, as in --set http.heartbeat=30s"));
  }
  const YamlText yaml = {.text = split.second, .name = name, .has_lines = false};
  absl::StatusOr<YamlNode> node = ReadYaml(yaml);
  if (!node.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(node.status().message(),
                     "; a text with YAML's own characters stands in quotes: --set 'http.address=\"[::]:8080\"'"));
  }
  for (const std::string& part : std::views::reverse(parts)) {
    YamlNode parent;
    parent.kind = YamlNode::Kind::kMap;
    node->key = part;
    parent.children.push_back(*std::move(node));
    node = std::move(parent);
  }
  return ReadSection(*node, yaml, config);
}

absl::StatusOr<v1::Config> ReadText(absl::string_view text, const std::string& name,
                                    const std::vector<std::string>& overrides) {
  v1::Config config;
  RETURN_IF_ERROR(SetDefaults(config));
  RETURN_IF_ERROR(ApplyFile(text, name, config));
  for (const std::string& override_text : overrides) {
    RETURN_IF_ERROR(ApplyOverride(override_text, config));
  }
  return config;
}

// Adds the check of the whole.
absl::StatusOr<v1::Config> Checked(absl::StatusOr<v1::Config> config, const std::string& name) {
  RETURN_IF_ERROR(config.status());
  RETURN_IF_ERROR(base::Annotated(Validate(*config), absl::StrCat(name, ": ")));
  return config;
}

}  // namespace

absl::StatusOr<v1::Config> Load(const Source& source) {
  return Checked(Read(source), source.path.value_or("the configuration"));
}

absl::StatusOr<v1::Config> Read(const Source& source) {
  if (!source.path.has_value()) {
    return ReadText("", "the configuration", source.overrides);
  }
  ASSIGN_OR_RETURN(const std::string text, ReadFile(*source.path));
  return ReadText(text, *source.path, source.overrides);
}

absl::StatusOr<v1::Config> LoadText(absl::string_view text, const std::string& name,
                                    const std::vector<std::string>& overrides) {
  return Checked(ReadText(text, name, overrides), name);
}

}  // namespace bridge::config
