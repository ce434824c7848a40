#include "bridge/auth/json_object.h"

#include <cstddef>

#include <google/protobuf/util/json_util.h>

#include "absl/status/status.h"

namespace bridge::auth {

using google::protobuf::Struct;
using google::protobuf::Value;

namespace {

// Protobuf takes 200 ms for 3,000 levels, and single quotes for quotes, so that brackets between them would not be seen
// here. Whether the text is JSON is for protobuf to say.
bool IsShallow(absl::string_view text) {
  int levels = 0;
  bool is_quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (is_quoted) {
      i += c == '\\' ? 1 : 0;
      is_quoted = c != '"';
      continue;
    }
    is_quoted = c == '"';
    levels += c == '{' || c == '[' ? 1 : c == '}' || c == ']' ? -1 : 0;
    if (levels > kJsonLevelsMax || c == '\'') {
      return false;
    }
  }
  return true;
}

}  // namespace

absl::StatusOr<Struct> ParseJsonObject(absl::string_view text) {
  Struct object;
  if (!IsShallow(text) || !google::protobuf::util::JsonStringToMessage({text.data(), text.size()}, &object).ok()) {
    return absl::InvalidArgumentError("is no JSON object, or one with a member twice, or one that nests too deep");
  }
  return object;
}

std::string FormatJson(const Struct& object) {
  std::string text;
  // A Struct that ParseJsonObject made, or one without NaN and infinities, has a JSON form: this cannot fail.
  static_cast<void>(google::protobuf::util::MessageToJsonString(object, &text));
  return text;
}

void SetText(Struct& object, absl::string_view name, absl::string_view text) {
  (*object.mutable_fields())[std::string(name)].set_string_value(std::string(text));
}

const Value* FindMember(const Struct& object, absl::string_view name) {
  const auto member = object.fields().find(std::string(name));
  return member == object.fields().end() ? nullptr : &member->second;
}

const Value* FindPath(const Struct& object, absl::string_view path) {
  if (const Value* const whole = FindMember(object, path); whole != nullptr) {
    return whole;
  }
  for (size_t dot = path.find('.'); dot != absl::string_view::npos; dot = path.find('.', dot + 1)) {
    const Value* const outer = FindMember(object, path.substr(0, dot));
    if (outer != nullptr && outer->has_struct_value()) {
      return FindPath(outer->struct_value(), path.substr(dot + 1));
    }
  }
  return nullptr;
}

const std::string* FindString(const Struct& object, absl::string_view name) {
  const Value* const member = FindMember(object, name);
  return member != nullptr && member->kind_case() == Value::kStringValue ? &member->string_value() : nullptr;
}

}  // namespace bridge::auth
