#include "bridge/payload/wire_survey.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"

#include "bridge/base/status_macros.h"
#include "bridge/base/utf8.h"
#include "bridge/payload/json_printer.h"

namespace bridge::payload {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

// What protobuf 3.21 takes, roughly, for a message and each of its fields, for a text beside its bytes, and for an
// unknown field.
constexpr size_t kMessageBytes = 64;
constexpr size_t kFieldBytes = 24;
constexpr size_t kMapFieldBytes = 160;
constexpr size_t kTextBytes = 48;
constexpr size_t kUnknownFieldBytes = 32;
constexpr size_t kNumberBytesMax = 8;

// How many numbers of the field are packed in `content`.
size_t CountPacked(const FieldDescriptor& field, absl::string_view content) {
  if (!field.is_packable()) {
    return 0;  // it is not known by this form
  }
  switch (WireFormatLite::WireTypeForFieldType(static_cast<WireFormatLite::FieldType>(field.type()))) {
    case WireFormatLite::WIRETYPE_FIXED32:
      return content.size() / sizeof(uint32_t);
    case WireFormatLite::WIRETYPE_FIXED64:
      return content.size() / sizeof(uint64_t);
    default:
      return static_cast<size_t>(std::count_if(content.begin(), content.end(), [](char byte) { return byte >= 0; }));
  }
}

class Surveyor {
 public:
  Surveyor(const TypeRegistry& types, size_t built_bytes_max, JsonEstimate& estimate)
      : types_(types), built_bytes_max_(built_bytes_max), estimate_(estimate) {}

  absl::Status SurveyMessage(const Descriptor& type, absl::string_view bytes, int level) {
    if (level > kMessageLevelsMax) {
      return TooDeepError();
    }
    RETURN_IF_ERROR(ChargeMessage(type));
    NoteMessage(type);
    if (type.well_known_type() == Descriptor::WELLKNOWNTYPE_ANY) {
      RETURN_IF_ERROR(SurveyPacked(bytes, level));
    }
    CodedInputStream input(reinterpret_cast<const uint8_t*>(bytes.data()), static_cast<int>(bytes.size()));
    while (const uint32_t tag = input.ReadTag()) {
      RETURN_IF_ERROR(SurveyField(type, tag, bytes, input, level));
    }
    return input.ConsumedEntireMessage() ? absl::OkStatus() : Malformed(type);
  }

 private:
  absl::Status SurveyField(const Descriptor& type, uint32_t tag, absl::string_view bytes, CodedInputStream& input,
                           int level) {
    const FieldDescriptor* const field = type.FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag));
    if (field != nullptr && field->type() == FieldDescriptor::TYPE_GROUP) {
      return absl::InvalidArgumentError(absl::StrCat(field->full_name(), " is a proto2 group, which has no JSON"));
    }
    if (WireFormatLite::GetTagWireType(tag) != WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      NoteScalar(field, 0);
      const int start = input.CurrentPosition();
      if (!WireFormatLite::SkipField(&input, tag)) {
        return Malformed(type);
      }
      return Charge(kUnknownFieldBytes + kUnknownFieldBytes / 2 * static_cast<size_t>(input.CurrentPosition() - start));
    }
    int size = 0;
    if (!input.ReadVarintSizeAsInt(&size)) {
      return Malformed(type);
    }
    const auto start = static_cast<size_t>(input.CurrentPosition());
    if (!input.Skip(size)) {
      return Malformed(type);
    }
    return SurveyDelimited(field, bytes.substr(start, static_cast<size_t>(size)), level);
  }

  // `content` is that of a length-delimited field, null where it is not known.
  absl::Status SurveyDelimited(const FieldDescriptor* field, absl::string_view content, int level) {
    if (field == nullptr) {
      return Charge(kUnknownFieldBytes + kTextBytes + content.size());
    }
    switch (field->type()) {
      case FieldDescriptor::TYPE_MESSAGE:
        return SurveyMessage(*field->message_type(), content, level + 1);
      case FieldDescriptor::TYPE_STRING:
        if (!base::IsUtf8(content)) {
          return absl::InvalidArgumentError(absl::StrCat("does not parse: ", field->full_name(), " is not UTF-8"));
        }
        NoteScalar(field, content.size());
        return Charge(kTextBytes + content.size());
      case FieldDescriptor::TYPE_BYTES:
        NoteScalar(field, content.size());
        return Charge(kTextBytes + content.size());
      default:
        estimate_.AddNumbers(CountPacked(*field, content));
        return Charge(kUnknownFieldBytes + kNumberBytesMax * content.size());  // packed numbers
    }
  }

  // `any` is an Any's bytes: surveys what is packed in it.
  absl::Status SurveyPacked(absl::string_view any_bytes, int level) {
    RETURN_IF_ERROR(Charge(any_bytes.size()));
    google::protobuf::Any any;
    if (!any.ParseFromArray(any_bytes.data(), static_cast<int>(any_bytes.size()))) {
      return Malformed(*any.GetDescriptor());
    }
    if (any.type_url().empty() && any.value().empty()) {
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(const Descriptor* const type, types_.Find(any.type_url()));
    if (seen_urls_.insert(any.type_url()).second) {
      // protobuf's JSON keeps a description of the type for each different URL.
      RETURN_IF_ERROR(Charge(kDescribedFieldBytes * static_cast<size_t>(1 + type->field_count())));
    }
    return SurveyMessage(*type, any.value(), level + 1);
  }

  void NoteMessage(const Descriptor& type) {
    const auto kind = type.well_known_type();
    if (type.options().map_entry()) {
      estimate_.AddMember(0);
    } else if (kind != Descriptor::WELLKNOWNTYPE_STRUCT && kind != Descriptor::WELLKNOWNTYPE_LISTVALUE) {
      estimate_.AddMessage();  // those are one with the Value around them
    }
  }

  // `field` is null where it is not known. What comes once may be left out, where it is empty.
  void NoteScalar(const FieldDescriptor* field, size_t text_bytes) {
    if (field == nullptr) {
      return;
    }
    const auto kind = field->containing_type()->well_known_type();
    if (kind == Descriptor::WELLKNOWNTYPE_FIELDMASK) {
      estimate_.Add(0, JsonEstimate::kTextWork);  // it may become shorter
    } else if (field->is_repeated()) {
      estimate_.AddText(text_bytes);
    } else {
      estimate_.Add(kind == Descriptor::WELLKNOWNTYPE_ANY ? 0 : text_bytes, JsonEstimate::kTextWork);
    }
  }

  absl::Status ChargeMessage(const Descriptor& type) {
    RETURN_IF_ERROR(Charge(kMessageBytes + kFieldBytes * static_cast<size_t>(type.field_count())));
    for (int i = 0; i < type.field_count(); ++i) {
      RETURN_IF_ERROR(Charge(type.field(i)->is_map() ? kMapFieldBytes : 0));
    }
    return absl::OkStatus();
  }

  absl::Status Charge(size_t bytes) {
    built_bytes_ += bytes;
    return built_bytes_ <= built_bytes_max_
               ? absl::OkStatus()
               : absl::InvalidArgumentError(
                     absl::StrCat("would take more than ", built_bytes_max_, " bytes of memory as a message"));
  }

  static absl::Status Malformed(const Descriptor& type) {
    return absl::InvalidArgumentError(absl::StrCat("does not parse: there are bytes that are no ", type.full_name()));
  }

  static constexpr size_t kDescribedFieldBytes = 256;

  const TypeRegistry& types_;
  const size_t built_bytes_max_;
  size_t built_bytes_ = 0;
  JsonEstimate& estimate_;
  absl::flat_hash_set<std::string> seen_urls_;
};

}  // namespace

absl::Status SurveyWire(const Descriptor& type, absl::string_view bytes, const TypeRegistry& types,
                        size_t built_bytes_max, JsonEstimate& estimate) {
  return Surveyor(types, built_bytes_max, estimate).SurveyMessage(type, bytes, 1);
}

}  // namespace bridge::payload
