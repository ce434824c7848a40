#include "bridge/http/json_body.h"

#include <google/protobuf/util/json_util.h>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "bridge/base/shown.h"

namespace bridge::http {
namespace {

constexpr size_t kJsonErrorShownMax = 300;

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
  const auto status = google::protobuf::util::JsonStringToMessage(body, message);
  if (status.ok()) {
    return std::nullopt;
  }
  return Problem{.detail = absl::StrCat("the body is not the JSON of ", what, ": ",
                                        base::Shown(std::string(status.message()), kJsonErrorShownMax)),
                 .example = std::string(example)};
}

}  // namespace bridge::http
