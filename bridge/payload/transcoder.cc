#include "bridge/payload/transcoder.h"

#include <cstddef>
#include <utility>

#include <google/protobuf/any.pb.h>
#include <google/protobuf/struct.pb.h>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

#include "bridge/base/annotated.h"
#include "bridge/base/status_macros.h"
#include "bridge/payload/bounded_output.h"
#include "bridge/payload/canonical.h"
#include "bridge/payload/value_json.h"
#include "bridge/payload/wire_survey.h"

namespace bridge::payload {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::Message;
using google::protobuf::Value;

// A message that fits into a frame as JSON takes less than this times the frame's bytes in memory, but for constructed
// ones.
constexpr size_t kBuiltBytesFactor = 64;

// A byte of text becomes so many of JSON at most. They are written, and dropped, also where they are too many.
constexpr uint64_t kEscapedBytes = 6;

absl::Status TooLargeError(size_t bytes_max) {
  return absl::InvalidArgumentError(
      absl::StrCat("payload: its text is longer than ", bytes_max, " bytes (http.max_frame_bytes); send less"));
}

// What writing `json` took beside what `estimate` says.
uint64_t WrittenWork(const BoundedOutput& json, const JsonEstimate& estimate) {
  const bool is_cut = json.is_over() && !json.text().empty();
  return is_cut ? kEscapedBytes * estimate.bytes_min : json.text().size();
}

// Where in `value` a message of `type` is held; null where it is of none of the types that make up Values.
Message* PartFor(const Descriptor& type, Value& value) {
  switch (type.well_known_type()) {
    case Descriptor::WELLKNOWNTYPE_VALUE:
      return &value;
    case Descriptor::WELLKNOWNTYPE_STRUCT:
      return value.mutable_struct_value();
    case Descriptor::WELLKNOWNTYPE_LISTVALUE:
      return value.mutable_list_value();
    default:
      return nullptr;
  }
}

}  // namespace

absl::StatusOr<Transcoder> Transcoder::Create(const Options& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<const TypeRegistry> types, TypeRegistry::Create(options.descriptor_set_files));
  return Transcoder(std::move(types), options);
}

Transcoder::Transcoder(std::unique_ptr<const TypeRegistry> types, const Options& options)
    : types_(std::move(types)), bytes_max_(options.bytes_max), printer_(types_->resolver(), options.json_names) {}

absl::StatusOr<std::string> Transcoder::Transcode(v1::Event&& event, uint64_t* work) const {
  switch (event.payload_case()) {
    case v1::Event::kText:
      if (event.text().size() > bytes_max_) {
        return TooLargeError(bytes_max_);
      }
      return std::move(*event.mutable_text());
    case v1::Event::kBinary:
      if (event.binary().size() > bytes_max_ / 4 * 3) {
        return TooLargeError(bytes_max_);
      }
      return absl::Base64Escape(event.binary());
    case v1::Event::kJson:
    case v1::Event::kMessage: {
      BoundedOutput json(bytes_max_);
      JsonEstimate estimate;
      const absl::Status printed =
          event.has_json()
              ? base::Annotated(PrintValue(*event.mutable_json(), printer_, json, estimate), "payload.json: ")
              : PrintPacked(event.message(), json, estimate);
      if (work != nullptr) {
        *work += estimate.work + WrittenWork(json, estimate);
      }
      RETURN_IF_ERROR(printed);
      if (json.is_over()) {
        return TooLargeError(bytes_max_);
      }
      return std::move(json).Take();
    }
    case v1::Event::PAYLOAD_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("payload: none is set; set text, binary, json or message");
}

absl::StatusOr<std::string> Transcoder::TranscodeObject(google::protobuf::Struct&& object, size_t bytes_max,
                                                        uint64_t* work) const {
  Value value;
  value.mutable_struct_value()->Swap(&object);
  BoundedOutput json(bytes_max);
  JsonEstimate estimate;
  const absl::Status printed = PrintValue(value, printer_, json, estimate);
  if (work != nullptr) {
    *work += estimate.work + WrittenWork(json, estimate);
  }
  RETURN_IF_ERROR(printed);
  if (json.is_over()) {
    return absl::InvalidArgumentError(absl::StrCat("its text is longer than ", bytes_max, " bytes; send less"));
  }
  return std::move(json).Take();
}

absl::Status Transcoder::PrintPacked(const google::protobuf::Any& message, BoundedOutput& output,
                                     JsonEstimate& estimate) const {
  const absl::StatusOr<const Descriptor*> type = types_->Find(message.type_url());
  RETURN_IF_ERROR(base::Annotated(type.status(), "payload.message: "));
  return base::Annotated(PrintMessage(**type, message.value(), output, estimate),
                         absl::StrCat("payload.message of type ", (*type)->full_name(), ": "));
}

absl::Status Transcoder::PrintMessage(const Descriptor& type, absl::string_view bytes, BoundedOutput& output,
                                      JsonEstimate& estimate) const {
  RETURN_IF_ERROR(SurveyWire(type, bytes, *types_, kBuiltBytesFactor * bytes_max_, estimate));
  if (Value value; Message* const part = PartFor(type, value)) {
    // Not as another message would be: protobuf's JSON has fewer levels for Values than we promise.
    RETURN_IF_ERROR(ParseMessage(bytes, *part));
    return PrintValue(value, printer_, output, estimate);
  }
  output.Expect(estimate.bytes_min);
  if (output.is_over()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<Message> message, ParseCanonical(type, bytes, *types_));
  RETURN_IF_ERROR(printer_.Print(*message, output));
  if (!output.is_over() && JsonLevels(output.text()) > kJsonLevelsMax) {
    return TooDeepError();
  }
  return absl::OkStatus();
}

}  // namespace bridge::payload
