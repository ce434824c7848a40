#pragma once

#include <string>

#include <google/protobuf/descriptor.h>

#include "absl/strings/string_view.h"

namespace bridge::test {

// What stands above a message, field, ... in its file, which has to be compiled with its comments.
template <typename Descriptor>
std::string CommentOf(const Descriptor& descriptor) {
  google::protobuf::SourceLocation location;
  return descriptor.GetSourceLocation(&location) ? location.leading_comments : std::string();
}

// What stands at the head of a file, above its syntax line.
std::string HeadCommentOf(const google::protobuf::FileDescriptor& file);

// A comment as Markdown, in one cell of a table.
std::string InCell(absl::string_view comment);

// A comment as Markdown, in paragraphs. Lines that are indented there stand as they are, in a block of their own.
std::string InParagraphs(absl::string_view comment);

}  // namespace bridge::test
