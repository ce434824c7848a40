#include "bridge/payload/json_printer.h"

#include <algorithm>

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/util/json_util.h>

#include "absl/strings/str_cat.h"

#include "bridge/base/shown.h"

namespace bridge::payload {
namespace {

constexpr size_t kJsonErrorShownMax = 200;

}  // namespace

absl::Status TooDeepError() {
  return absl::InvalidArgumentError(absl::StrCat("its JSON is nested deeper than ", kJsonLevelsMax, " levels"));
}

absl::Status UnsetValueError() {
  return absl::InvalidArgumentError("a google.protobuf.Value in it is not set; null is written null_value");
}

absl::Status NotFiniteError() { return absl::InvalidArgumentError("a number in it is NaN or infinite; JSON has none"); }

absl::Status JsonPrinter::Print(const google::protobuf::Message& message, BoundedOutput& output) const {
  const std::string bytes = SerializedInOrder(message);
  google::protobuf::io::ArrayInputStream input(bytes.data(), static_cast<int>(bytes.size()));
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = names_ == JsonNames::kOriginal;
  const auto status = google::protobuf::util::BinaryToJsonStream(
      resolver_, absl::StrCat("type.googleapis.com/", message.GetDescriptor()->full_name()), &input, &output, options);
  if (!status.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("has no JSON: ", base::Shown(std::string(status.message()), kJsonErrorShownMax)));
  }
  return absl::OkStatus();
}

std::string SerializedInOrder(const google::protobuf::Message& message) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  message.SerializePartialToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

int JsonLevels(absl::string_view json) {
  int level = 0;
  int deepest = 0;
  bool is_in_string = false;
  for (size_t i = 0; i < json.size(); ++i) {
    switch (json[i]) {
      case '"':
        is_in_string = !is_in_string;
        break;
      case '\\':
        ++i;  // stands in a string only, and takes the next character with it
        break;
      case '{':
      case '[':
        level += is_in_string ? 0 : 1;
        deepest = std::max(deepest, level);
        break;
      case '}':
      case ']':
        level -= is_in_string ? 0 : 1;
        break;
      default:
        break;
    }
  }
  return deepest;
}

}  // namespace bridge::payload
