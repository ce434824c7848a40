#pragma once

#include <string>
#include <vector>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace bridge::config {

// What the configuration's messages say about their fields, by reflection on config.proto and its options.

// The field is a section with fields of its own, or a list of such sections, and no value.
bool IsSection(const google::protobuf::FieldDescriptor& field);

// Sets every field of `message` and of its sections to its default; lists are empty. INTERNAL where config.proto has a
// default that is no value.
absl::Status SetDefaults(google::protobuf::Message& message);

// Sets `field` of `message`, or adds an element where it is a list, to the value that `text` stands for.
// INVALID_ARGUMENT where `text` is no such value or out of the field's bounds; goes on from a value that is already
// named, like value_syntax.h's. REQUIRES: not a section.
absl::Status SetValue(const google::protobuf::FieldDescriptor& field, absl::string_view text,
                      google::protobuf::Message& message);

// The names that an enum's value may have in the file.
std::vector<std::string> ValueNames(const google::protobuf::EnumDescriptor& type);

}  // namespace bridge::config
