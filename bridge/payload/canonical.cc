#include "bridge/payload/canonical.h"

#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/text_format.h>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"

#include "bridge/base/status_macros.h"
#include "bridge/payload/json_printer.h"
#include "bridge/payload/wire_survey.h"

namespace bridge::payload {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

absl::Status CheckValue(const Message& value) {
  const Reflection& reflection = *value.GetReflection();
  const FieldDescriptor* const kind = reflection.GetOneofFieldDescriptor(value, value.GetDescriptor()->oneof_decl(0));
  if (kind == nullptr) {
    return UnsetValueError();
  }
  if (kind->number() == google::protobuf::Value::kNumberValueFieldNumber &&
      !std::isfinite(reflection.GetDouble(value, kind))) {
    return NotFiniteError();
  }
  return absl::OkStatus();
}

// A dynamic message that was parsed has all entries of a map, where the last one of a key counts.
void KeepLastOfEachKey(const FieldDescriptor& map, Message& message) {
  const Reflection& reflection = *message.GetReflection();
  const FieldDescriptor* const key_field = map.message_type()->map_key();
  absl::flat_hash_map<std::string, int> index_of_key;
  int kept = 0;
  const int size = reflection.FieldSize(message, &map);
  for (int i = 0; i < size; ++i) {
    std::string key;
    google::protobuf::TextFormat::PrintFieldValueToString(reflection.GetRepeatedMessage(message, &map, i), key_field,
                                                          -1, &key);
    const auto [known, is_new] = index_of_key.try_emplace(std::move(key), kept);
    reflection.SwapElements(&message, &map, known->second, i);
    kept += is_new ? 1 : 0;
  }
  for (int i = kept; i < size; ++i) {
    reflection.RemoveLast(&message, &map);
  }
}

class Canonicalizer {
 public:
  explicit Canonicalizer(const TypeRegistry& types) : types_(types) {}

  absl::StatusOr<std::unique_ptr<Message>> Parse(const Descriptor& type, absl::string_view bytes) const {
    std::unique_ptr<Message> message = types_.New(type);
    RETURN_IF_ERROR(ParseMessage(bytes, *message));
    RETURN_IF_ERROR(Canonicalize(*message));
    return message;
  }

 private:
  // The recursion is bounded by kMessageLevelsMax, as SurveyWire has seen.
  absl::Status Canonicalize(Message& message) const {
    const Reflection& reflection = *message.GetReflection();
    reflection.MutableUnknownFields(&message)->Clear();
    switch (message.GetDescriptor()->well_known_type()) {
      case Descriptor::WELLKNOWNTYPE_ANY:
        return CanonicalizePacked(message);
      case Descriptor::WELLKNOWNTYPE_VALUE:
        RETURN_IF_ERROR(CheckValue(message));
        break;
      default:
        break;
    }
    std::vector<const FieldDescriptor*> fields;
    reflection.ListFields(message, &fields);
    for (const FieldDescriptor* field : fields) {
      if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
        continue;
      }
      if (!field->is_repeated()) {
        RETURN_IF_ERROR(Canonicalize(*reflection.MutableMessage(&message, field)));
        continue;
      }
      if (field->is_map()) {
        KeepLastOfEachKey(*field, message);
      }
      const int size = reflection.FieldSize(message, field);
      for (int i = 0; i < size; ++i) {
        RETURN_IF_ERROR(Canonicalize(*reflection.MutableRepeatedMessage(&message, field, i)));
      }
    }
    return absl::OkStatus();
  }

  absl::Status CanonicalizePacked(Message& any) const {
    const Reflection& reflection = *any.GetReflection();
    const FieldDescriptor* const type_url_field = any.GetDescriptor()->FindFieldByName("type_url");
    const FieldDescriptor* const value_field = any.GetDescriptor()->FindFieldByName("value");
    const std::string type_url = reflection.GetString(any, type_url_field);
    if (type_url.empty()) {
      return absl::OkStatus();  // and empty altogether, as SurveyWire has seen
    }
    ASSIGN_OR_RETURN(const Descriptor* const type, types_.Find(type_url));
    ASSIGN_OR_RETURN(const std::unique_ptr<Message> packed, Parse(*type, reflection.GetString(any, value_field)));
    reflection.SetString(&any, value_field, SerializedInOrder(*packed));
    return absl::OkStatus();
  }

  const TypeRegistry& types_;
};

}  // namespace

absl::Status ParseMessage(absl::string_view bytes, Message& message) {
  google::protobuf::io::CodedInputStream input(reinterpret_cast<const uint8_t*>(bytes.data()),
                                               static_cast<int>(bytes.size()));
  input.SetRecursionLimit(kMessageLevelsMax);
  if (!message.ParsePartialFromCodedStream(&input) || !input.ConsumedEntireMessage()) {
    return absl::InvalidArgumentError(absl::StrCat("does not parse as ", message.GetDescriptor()->full_name()));
  }
  if (!message.IsInitialized()) {
    return absl::InvalidArgumentError(absl::StrCat("lacks required fields of ", message.GetDescriptor()->full_name()));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Message>> ParseCanonical(const Descriptor& type, absl::string_view bytes,
                                                        const TypeRegistry& types) {
  return Canonicalizer(types).Parse(type, bytes);
}

}  // namespace bridge::payload
