#include "bridge/http/json_body.h"

#include <algorithm>

#include <google/protobuf/util/json_util.h>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "bridge/base/shown.h"

namespace bridge::http {
namespace {

constexpr size_t kJsonErrorShownMax = 300;
// The library takes time with the square of the depth of arrays, and much for an object. What is read here has one
// object and two arrays at most; the rest is for brackets in texts, so that nothing here need know what a text is.
constexpr auto kBracketsMax = 200;

}  // namespace

std::optional<Problem> CheckIsJson(const httplib::Request& request) {
  const std::string content_type = request.get_header_value("Content-Type");
  const absl::string_view media_type =
      absl::StripAsciiWhitespace(absl::string_view(content_type).substr(0, content_type.find(';')));
  if (absl::EqualsIgnoreCase(media_type, "application/json")) {
    return std::nullopt;
  }
  return Problem{
      .status = 415,
      .detail = absl::StrCat("the content type ", base::Quoted(content_type), " is not taken; send application/json"),
      .parameter = "Content-Type",
      .example = "application/json"};
}

std::optional<Problem> ReadJsonBody(const std::string& body, absl::string_view what, absl::string_view example,
                                    google::protobuf::Message* message) {
  const auto brackets = std::count_if(body.begin(), body.end(), [](char c) { return c == '[' || c == '{'; });
  if (brackets > kBracketsMax) {
    return Problem{
        .detail = absl::StrCat("the body has ", brackets, " brackets [ and {; at most ", kBracketsMax, " are allowed"),
        .example = std::string(example)};
  }
  const auto status = google::protobuf::util::JsonStringToMessage(body, message);
  if (status.ok()) {
    return std::nullopt;
  }
  return Problem{.detail = absl::StrCat("the body is not the JSON of ", what, ": ",
                                        base::Shown(std::string(status.message()), kJsonErrorShownMax)),
                 .example = std::string(example)};
}

std::string WriteJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  return status.ok() ? json : std::string("{}");
}

}  // namespace bridge::http
