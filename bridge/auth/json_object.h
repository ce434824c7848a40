#pragma once

#include <string>

#include <google/protobuf/struct.pb.h>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bridge::auth {

constexpr int kJsonLevelsMax = 16;

// The JSON object that `text` is, read by protobuf. INVALID_ARGUMENT: it is none, it has a member twice, or it nests
// deeper than kJsonLevelsMax. The message shows nothing of the text and goes on from a thing that is already named: "is
// no JSON object ...". Takes about 1 µs per value; what calls this bounds the text.
absl::StatusOr<google::protobuf::Struct> ParseJsonObject(absl::string_view text);

// As compact JSON.
std::string FormatJson(const google::protobuf::Struct& object);

// Sets a member to a text.
void SetText(google::protobuf::Struct& object, absl::string_view name, absl::string_view text);

// The member of that name; null where there is none.
const google::protobuf::Value* FindMember(const google::protobuf::Struct& object, absl::string_view name);

// The member at a dotted path: "bridge.subscribe" is the member of that name, else "subscribe" in the object "bridge".
const google::protobuf::Value* FindPath(const google::protobuf::Struct& object, absl::string_view path);

// The member of that name where it is a text, else null.
const std::string* FindString(const google::protobuf::Struct& object, absl::string_view name);

}  // namespace bridge::auth
