#include "bridge/config/schema.h"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

#include "bridge/base/ip_address.h"
#include "bridge/base/shown.h"
#include "bridge/base/status_macros.h"
#include "bridge/base/utf8.h"
#include "bridge/config/address.h"
#include "bridge/config/keys_url.h"
#include "bridge/config/origin.h"
#include "bridge/config/v1/config.pb.h"
#include "bridge/config/value_syntax.h"
#include "bridge/topic/pattern.h"

namespace bridge::config {
namespace {

using google::protobuf::EnumDescriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

bool IsDuration(const FieldDescriptor& field) {
  return field.message_type() == google::protobuf::Duration::descriptor();
}

// A switch's on and off may also be written as what YAML takes them for.
absl::string_view SwitchName(const EnumDescriptor& type, absl::string_view text) {
  if (type.FindValueByName("on") == nullptr || type.FindValueByName("off") == nullptr) {
    return text;
  }
  return text == "true" ? "on" : text == "false" ? "off" : text;
}

absl::StatusOr<const EnumValueDescriptor*> ParseEnum(const EnumDescriptor& type, absl::string_view text) {
  const EnumValueDescriptor* const value = type.FindValueByName(std::string(SwitchName(type, text)));
  if (value == nullptr || value->number() == 0) {
    return absl::InvalidArgumentError(absl::StrCat("is none of ", absl::StrJoin(ValueNames(type), ", ")));
  }
  return value;
}

absl::StatusOr<bool> ParseBool(absl::string_view text) {
  if (text != "true" && text != "false") {
    return absl::InvalidArgumentError("is neither true nor false");
  }
  return text == "true";
}

absl::StatusOr<uint64_t> ParseNumber(const FieldDescriptor& field, absl::string_view text) {
  if (field.options().GetExtension(v1::is_size)) {
    return ParseSize(text);
  }
  return ParseCount(text, field.cpp_type() == FieldDescriptor::CPPTYPE_UINT32 ? std::numeric_limits<uint32_t>::max()
                                                                              : std::numeric_limits<uint64_t>::max());
}

// Names of [A-Za-z0-9_-]+ with single dots between them.
bool IsSubject(absl::string_view text) {
  const auto is_name = [](absl::string_view name) {
    return !name.empty() &&
           std::ranges::all_of(name, [](unsigned char c) { return absl::ascii_isalnum(c) || c == '_' || c == '-'; });
  };
  const std::vector<absl::string_view> names = absl::StrSplit(text, '.');
  return std::ranges::all_of(names, is_name);
}

absl::Status CheckText(const FieldDescriptor& field, absl::string_view text) {
  const auto is_control = [](unsigned char c) { return absl::ascii_iscntrl(c); };
  if (text.empty()) {
    return absl::InvalidArgumentError("is empty");
  }
  if (std::ranges::any_of(text, is_control) || !base::IsUtf8(text)) {
    return absl::InvalidArgumentError("has characters that are no text: UTF-8 without control characters is expected");
  }
  switch (field.options().GetExtension(v1::syntax)) {
    case v1::TEXT_SYNTAX_ADDRESS:
      return ParseAddress(text).status();
    case v1::TEXT_SYNTAX_HOST:
      return IsUrlHost(text) ? absl::OkStatus()
                             : absl::InvalidArgumentError(
                                   "is no host: write a name without scheme, port and path, as in bridge.example.com");
    case v1::TEXT_SYNTAX_ORIGIN:
      return CheckOrigin(text);
    case v1::TEXT_SYNTAX_PATTERN: {
      const absl::Status status = topic::Pattern::Parse(text).status();
      return status.ok() ? status : absl::InvalidArgumentError(absl::StrCat("is no pattern: ", status.message()));
    }
    case v1::TEXT_SYNTAX_KEYS_URL:
      return CheckKeysUrl(text);
    case v1::TEXT_SYNTAX_NETWORK:
      return base::IpNetwork::Parse(text).has_value()
                 ? absl::OkStatus()
                 : absl::InvalidArgumentError(
                       "is no network: write its first address and how many bits it has in "
                       "common, as in 10.0.0.0/8, or one address");
    case v1::TEXT_SYNTAX_NAME:
      return IsSubject(text) && !absl::StrContains(text, '.')
                 ? absl::OkStatus()
                 : absl::InvalidArgumentError("is no name: write letters, digits, - and _, as in BRIDGE");
    case v1::TEXT_SYNTAX_SUBJECT:
      return IsSubject(text)
                 ? absl::OkStatus()
                 : absl::InvalidArgumentError("is no subject: write names with dots between them, as in prod.bridge");
    default:
      return absl::OkStatus();
  }
}

// `parse` reads a value of the field's type from a text. Returns the one that `text` stands for, within the field's
// bounds.
template <typename Parse>
auto ParseWithinBounds(const FieldDescriptor& field, absl::string_view text, Parse parse) -> decltype(parse(text)) {
  ASSIGN_OR_RETURN(const auto value, parse(text));
  const std::string& min = field.options().GetExtension(v1::min_value);
  const std::string& max = field.options().GetExtension(v1::max_value);
  if (!min.empty()) {
    ASSIGN_OR_RETURN(const auto smallest, parse(min));
    if (value < smallest) {
      return absl::InvalidArgumentError(absl::StrCat("is too small: the smallest value is ", min));
    }
  }
  if (!max.empty()) {
    ASSIGN_OR_RETURN(const auto largest, parse(max));
    if (value > largest) {
      return absl::InvalidArgumentError(absl::StrCat("is too large: the largest value is ", max));
    }
  }
  return value;
}

}  // namespace

bool IsSection(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !IsDuration(field);
}

absl::Status SetDefaults(Message& message) {
  const google::protobuf::Descriptor& type = *message.GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (field.is_repeated()) {
      continue;
    }
    if (IsSection(field)) {
      RETURN_IF_ERROR(SetDefaults(*message.GetReflection()->MutableMessage(&message, &field)));
    } else {
      const std::string& text = field.options().GetExtension(v1::default_value);
      if (text.empty() &&
          (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING || field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM)) {
        continue;  // it need not be set, or has to be by the file
      }
      if (const absl::Status status = SetValue(field, text, message); !status.ok()) {
        return absl::InternalError(
            absl::StrCat("default_value of ", field.full_name(), ": ", base::Quoted(text), " ", status.message()));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status SetValue(const FieldDescriptor& field, absl::string_view text, Message& message) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
    RETURN_IF_ERROR(CheckText(field, text));
    if (field.is_repeated()) {
      reflection.AddString(&message, &field, std::string(text));
    } else {
      reflection.SetString(&message, &field, std::string(text));
    }
    return absl::OkStatus();
  }
  const auto parse_number = [&](absl::string_view number) { return ParseNumber(field, number); };
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL: {
      ASSIGN_OR_RETURN(const bool value, ParseBool(text));
      reflection.SetBool(&message, &field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_ENUM: {
      ASSIGN_OR_RETURN(const EnumValueDescriptor* const value, ParseEnum(*field.enum_type(), text));
      if (field.is_repeated()) {
        reflection.AddEnum(&message, &field, value);
      } else {
        reflection.SetEnum(&message, &field, value);
      }
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_UINT32: {
      ASSIGN_OR_RETURN(const uint64_t value, ParseWithinBounds(field, text, parse_number));
      reflection.SetUInt32(&message, &field, static_cast<uint32_t>(value));
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_UINT64: {
      ASSIGN_OR_RETURN(const uint64_t value, ParseWithinBounds(field, text, parse_number));
      reflection.SetUInt64(&message, &field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_MESSAGE: {
      ASSIGN_OR_RETURN(const absl::Duration value, ParseWithinBounds(field, text, ParseDuration));
      reflection.MutableMessage(&message, &field)->CopyFrom(ToProto(value));
      return absl::OkStatus();
    }
    default:
      return absl::InternalError(absl::StrCat("is of a type that no other field has: ", field.cpp_type_name()));
  }
}

std::vector<std::string> ValueNames(const EnumDescriptor& type) {
  std::vector<std::string> names;
  for (int i = 0; i < type.value_count(); ++i) {
    if (type.value(i)->number() != 0) {
      names.push_back(type.value(i)->name());
    }
  }
  return names;
}

}  // namespace bridge::config
