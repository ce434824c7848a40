#include "tests/support/proto_comments.h"

#include <utility>
#include <vector>

#include <google/protobuf/descriptor.pb.h>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace bridge::test {
namespace {

std::string Escape(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"*", "\\*"}, {"|", "\\|"}, {"<", "&lt;"}});
}

// A paragraph, or lines that are shown as they are.
struct Block {
  bool is_code = false;
  std::vector<std::string> lines;
};

std::vector<Block> BlocksOf(absl::string_view comment) {
  std::vector<Block> blocks;
  bool is_new = true;
  for (absl::string_view line : absl::StrSplit(comment, '\n')) {
    line = absl::StripTrailingAsciiWhitespace(line);
    absl::ConsumePrefix(&line, " ");  // the one behind the slashes
    if (line.empty()) {
      is_new = true;
      continue;
    }
    const bool is_code = absl::StartsWith(line, "  ");
    if (is_new || blocks.back().is_code != is_code) {
      blocks.push_back({.is_code = is_code, .lines = {}});
    }
    is_new = false;
    if (is_code) {
      line.remove_prefix(2);
    }
    blocks.back().lines.push_back(is_code ? std::string(line) : Escape(line));
  }
  return blocks;
}

}  // namespace

std::string HeadCommentOf(const google::protobuf::FileDescriptor& file) {
  google::protobuf::SourceLocation location;
  file.GetSourceLocation({google::protobuf::FileDescriptorProto::kSyntaxFieldNumber}, &location);
  return location.leading_comments;
}

std::string InCell(absl::string_view comment) {
  return absl::StrJoin(BlocksOf(comment), "<br>", [](std::string* out, const Block& block) {
    absl::StrAppend(out, absl::StrJoin(block.lines, " "));
  });
}

std::string InParagraphs(absl::string_view comment) {
  return absl::StrJoin(BlocksOf(comment), "\n\n", [](std::string* out, const Block& block) {
    const std::string lines = absl::StrJoin(block.lines, "\n");
    absl::StrAppend(out, block.is_code ? absl::StrCat("```text\n", lines, "\n```") : lines);
  });
}

}  // namespace bridge::test
