#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bridge::config {

// A YAML text, and what errors call it.
struct YamlText {
  absl::string_view text;
  // A file's path, or a whole "--set path=value".
  std::string name;
  // Errors name the line too.
  bool has_lines = true;

  // "bridge.yaml:12", or the name alone.
  std::string At(int line) const;
};

// One node of a YAML document. A value.
struct YamlNode {
  enum class Kind : uint8_t { kNull, kScalar, kList, kMap };

  Kind kind = Kind::kNull;
  // Where it starts, from 1; a map's value where its key stands.
  int line = 1;
  // Of a scalar, quoted or not: the configuration's fields say what it means.
  std::string scalar;
  // The elements of a list, or the values of a map, in the order of the document.
  std::vector<YamlNode> children;
  // Of a map's value: its key. A document may have a key twice.
  std::string key;
};

// The one YAML document of `yaml`, which is UTF-8; a null where it is empty.
//
// INVALID_ARGUMENT, beside what is no YAML: a second document, tags, aliases, keys that are no text, more than 16
// levels. The exceptions of yaml-cpp stop here.
absl::StatusOr<YamlNode> ReadYaml(const YamlText& yaml);

}  // namespace bridge::config
