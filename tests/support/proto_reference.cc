#include "tests/support/proto_reference.h"

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tests/support/proto_comments.h"

#include "bridge/v1/publisher.pb.h"

namespace bridge::test {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using google::protobuf::MethodDescriptor;
using google::protobuf::OneofDescriptor;
using google::protobuf::ServiceDescriptor;

constexpr absl::string_view kHead =
    "<!-- Made of proto/bridge/v1/publisher.proto by scripts/proto-reference: change that file, not this one. -->\n"
    "# The gRPC API\n\n";

template <typename Element>
std::string CheckedComment(const Element& element) {
  std::string comment = CommentOf(element);
  EXPECT_FALSE(comment.empty()) << element.full_name() << " has no comment";
  return comment;
}

// A message of the same file has its heading on the page.
std::string LinkTo(const Descriptor& type, const FileDescriptor& page) {
  return type.file() == &page ? absl::StrCat("[", type.name(), "](#", absl::AsciiStrToLower(type.name()), ")")
                              : absl::StrCat("`", type.full_name(), "`");
}

std::string TypeOf(const FieldDescriptor& field) {
  if (field.is_map()) {
    return absl::StrCat("map of ", TypeOf(*field.message_type()->map_key()), " to ",
                        TypeOf(*field.message_type()->map_value()));
  }
  const std::string type =
      field.message_type() != nullptr ? LinkTo(*field.message_type(), *field.file()) : field.type_name();
  return absl::StrCat(field.is_repeated() ? "repeated " : "", type);
}

void AppendMessage(const Descriptor& message, std::string& markdown) {
  absl::StrAppend(&markdown, "\n## ", message.name(), "\n\n", InParagraphs(CheckedComment(message)),
                  "\n\n| field | type | number | meaning |\n|---|---|---|---|\n");
  const OneofDescriptor* last_oneof = nullptr;
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor& field = *message.field(i);
    const OneofDescriptor* const oneof = field.real_containing_oneof();
    if (oneof != nullptr && oneof != last_oneof) {
      absl::StrAppend(&markdown, "| one of `", oneof->name(), "` | | | ", InCell(CheckedComment(*oneof)), " |\n");
    }
    last_oneof = oneof;
    absl::StrAppend(&markdown, "| ", oneof == nullptr ? "" : "– ", "`", field.name(), "` | ", TypeOf(field), " | ",
                    field.number(), " | ", InCell(CommentOf(field)), " |\n");
    for (int j = 1; field.enum_type() != nullptr && j < field.enum_type()->value_count(); ++j) {
      const google::protobuf::EnumValueDescriptor& value = *field.enum_type()->value(j);
      absl::StrAppend(&markdown, "| – `", value.name(), "` | | ", value.number(), " | ", InCell(CheckedComment(value)),
                      " |\n");
    }
  }
}

void AppendMethod(const MethodDescriptor& method, std::string& markdown) {
  absl::StrAppend(&markdown, "\n### ", method.name(), "\n\nTakes ", method.client_streaming() ? "a stream of " : "",
                  LinkTo(*method.input_type(), *method.file()), ", answers ",
                  method.server_streaming() ? "a stream of " : "", LinkTo(*method.output_type(), *method.file()),
                  ".\n\n", InParagraphs(CheckedComment(method)), "\n");
}

void AppendService(const ServiceDescriptor& service, std::string& markdown) {
  absl::StrAppend(&markdown, "\n## ", service.full_name(), "\n\n", InParagraphs(CheckedComment(service)), "\n");
  for (int i = 0; i < service.method_count(); ++i) {
    AppendMethod(*service.method(i), markdown);
  }
}

}  // namespace

std::string ProtoReference(const google::protobuf::FileDescriptorSet& publisher_proto) {
  // Links the generated code, and with it the files that this one imports.
  google::protobuf::DescriptorPool pool(v1::Event::descriptor()->file()->pool());
  const FileDescriptor& file = *pool.BuildFile(publisher_proto.file(0));
  std::string markdown = absl::StrCat(kHead, InParagraphs(HeadCommentOf(file)), "\n");
  for (int i = 0; i < file.service_count(); ++i) {
    AppendService(*file.service(i), markdown);
  }
  for (int i = 0; i < file.message_type_count(); ++i) {
    AppendMessage(*file.message_type(i), markdown);
  }
  return markdown;
}

}  // namespace bridge::test
