#pragma once

#include <google/protobuf/message.h>

#include "absl/status/status.h"

#include "bridge/config/yaml_reader.h"

namespace bridge::config {

// Sets the fields of `message` that `root`, read from `yaml`, has keys for; the others stay as they are. A list
// replaces a list.
//
// INVALID_ARGUMENT for the first unknown or double key, wrong kind or bad value, as `FILE:LINE: dotted.path: what is
// wrong and what would be right`. `message` may then be half set.
absl::Status ReadSection(const YamlNode& root, const YamlText& yaml, google::protobuf::Message& message);

}  // namespace bridge::config
