#include "tests/support/config_reference.h"

#include <utility>
#include <vector>

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "tests/support/proto_comments.h"

#include "bridge/config/schema.h"
#include "bridge/config/v1/config.pb.h"

namespace bridge::test {
namespace {

using config::v1::default_value;
using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;

constexpr absl::string_view kHead =
    "<!-- Made of proto/bridge/config/v1/config.proto by scripts/config-reference: change that file, not this one. "
    "-->\n"
    "# Configuration\n\n";

// What may be written as a value of `field`.
std::string ValuesOf(const FieldDescriptor& field) {
  const google::protobuf::FieldOptions& options = field.options();
  std::string bounds;
  if (!options.GetExtension(config::v1::min_value).empty()) {
    absl::StrAppend(&bounds, ", from ", options.GetExtension(config::v1::min_value));
  }
  if (!options.GetExtension(config::v1::max_value).empty()) {
    absl::StrAppend(&bounds, bounds.empty() ? ", up to " : " to ", options.GetExtension(config::v1::max_value));
  }
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return "true, false";
    case FieldDescriptor::CPPTYPE_ENUM:
      return absl::StrJoin(config::ValueNames(*field.enum_type()), ", ");
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return absl::StrCat("duration", bounds);
    case FieldDescriptor::CPPTYPE_STRING:
      switch (options.GetExtension(config::v1::syntax)) {
        case config::v1::TEXT_SYNTAX_ADDRESS:
          return "host:port";
        case config::v1::TEXT_SYNTAX_HOST:
          return "host";
        case config::v1::TEXT_SYNTAX_ORIGIN:
          return "origin";
        case config::v1::TEXT_SYNTAX_FILE:
          return "path";
        case config::v1::TEXT_SYNTAX_NAME:
          return "name";
        case config::v1::TEXT_SYNTAX_SUBJECT:
          return "subject";
        case config::v1::TEXT_SYNTAX_PATTERN:
          return "pattern";
        case config::v1::TEXT_SYNTAX_KEYS_URL:
          return "URL";
        case config::v1::TEXT_SYNTAX_NETWORK:
          return "network";
        default:
          return "text";
      }
    default:
      return absl::StrCat(options.GetExtension(config::v1::is_size) ? "size" : "number", bounds);
  }
}

void AppendSection(const Descriptor& type, const std::string& path, std::string& markdown) {
  absl::StrAppend(&markdown, "\n## ", path, "\n\n", InParagraphs(CommentOf(type)),
                  "\n\n| key | default | values | meaning |\n|---|---|---|---|\n");
  std::vector<std::pair<const Descriptor*, std::string>> sections;
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    const std::string field_path = absl::StrCat(path, ".", field.name());
    EXPECT_TRUE(config::IsSection(field) || !CommentOf(field).empty()) << field_path << " has no comment";
    if (config::IsSection(field)) {
      sections.emplace_back(field.message_type(), field.is_repeated() ? field_path + "[]" : field_path);
    } else if (field.is_repeated()) {
      absl::StrAppend(&markdown, "| `", field_path, "` | `[]` | list: ", ValuesOf(field), " | ",
                      InCell(CommentOf(field)), " |\n");
    } else {
      const std::string& text = field.options().GetExtension(default_value);
      absl::StrAppend(&markdown, "| `", field_path, "` | ", text.empty() ? "not set" : absl::StrCat("`", text, "`"),
                      " | ", ValuesOf(field), " | ", InCell(CommentOf(field)), " |\n");
    }
  }
  for (const auto& [section, section_path] : sections) {
    AppendSection(*section, section_path, markdown);
  }
}

}  // namespace

std::string ConfigReference(const google::protobuf::FileDescriptorSet& config_proto) {
  google::protobuf::DescriptorPool pool(google::protobuf::DescriptorPool::generated_pool());
  const FileDescriptor& file = *pool.BuildFile(config_proto.file(0));
  std::string markdown = absl::StrCat(kHead, InParagraphs(HeadCommentOf(file)), "\n");
  const Descriptor& config = *file.FindMessageTypeByName("Config");
  for (int i = 0; i < config.field_count(); ++i) {
    AppendSection(*config.field(i)->message_type(), config.field(i)->name(), markdown);
  }
  return markdown;
}

}  // namespace bridge::test
