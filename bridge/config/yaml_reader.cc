#include "bridge/config/yaml_reader.h"

#include <cstddef>
#include <optional>
#include <sstream>
#include <utility>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "bridge/base/utf8.h"

namespace bridge::config {
namespace {

// The configuration's fields need four.
constexpr size_t kLevelsMax = 16;

// Builds the tree from the parser's events, and throws where the document has what a configuration may not have.
class TreeBuilder : public YAML::EventHandler {
 public:
  YamlNode TakeRoot() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (has_document_) {
      throw YAML::ParserException(mark, "a second document starts here; a configuration is one document");
    }
    has_document_ = true;
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { Add(NodeAt(YamlNode::Kind::kNull, mark), mark); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw YAML::ParserException(mark, "aliases (*name) are not supported; write the value out");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, const std::string& value) override {
    RefuseTag(mark, tag);
    YamlNode node = NodeAt(YamlNode::Kind::kScalar, mark);
    node.scalar = value;
    Add(std::move(node), mark);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    Open(YamlNode::Kind::kList, mark, tag);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, YAML::EmitterStyle::value) override {
    Open(YamlNode::Kind::kMap, mark, tag);
  }
  void OnMapEnd() override { Close(); }

 private:
  // A list or map whose end has not come yet.
  struct OpenNode {
    YamlNode node;
    YAML::Mark mark;
    // Of a map, between a key and its value.
    std::optional<YamlNode> key;
  };

  static YamlNode NodeAt(YamlNode::Kind kind, const YAML::Mark& mark) {
    YamlNode node;
    node.kind = kind;
    node.line = mark.line + 1;
    return node;
  }

  static void RefuseTag(const YAML::Mark& mark, const std::string& tag) {
    if (!tag.empty() && tag != "?" && tag != "!") {  // the parser's own tags of plain and of quoted scalars
      throw YAML::ParserException(mark, "tags (!!name) are not supported; write the value without one");
    }
  }

  void Open(YamlNode::Kind kind, const YAML::Mark& mark, const std::string& tag) {
    RefuseTag(mark, tag);
    if (open_.size() == kLevelsMax) {
      throw YAML::ParserException(mark, absl::StrCat("more than ", kLevelsMax, " levels of lists and sections"));
    }
    open_.push_back({NodeAt(kind, mark), mark, std::nullopt});
  }

  void Close() {
    OpenNode closed = std::move(open_.back());
    open_.pop_back();
    Add(std::move(closed.node), closed.mark);
  }

  void Add(YamlNode node, const YAML::Mark& mark) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    OpenNode& parent = open_.back();
    if (parent.node.kind == YamlNode::Kind::kMap) {
      if (!parent.key.has_value()) {
        if (node.kind != YamlNode::Kind::kScalar) {
          throw YAML::ParserException(mark, "a key has to be a name");
        }
        parent.key = std::move(node);
        return;
      }
      node.line = parent.key->line;  // the parser's own line of a null is the next one's
      node.key = std::move(parent.key->scalar);
      parent.key.reset();
    }
    parent.node.children.push_back(std::move(node));
  }

  bool has_document_ = false;
  std::vector<OpenNode> open_;
  YamlNode root_;
};

}  // namespace

std::string YamlText::At(int line) const { return has_lines ? absl::StrCat(name, ":", line) : name; }

absl::StatusOr<YamlNode> ReadYaml(const YamlText& yaml) {
  if (!base::IsUtf8(yaml.text)) {
    return absl::InvalidArgumentError(absl::StrCat(yaml.name, ": is not UTF-8"));
  }
  try {
    std::istringstream stream{std::string(yaml.text)};
    YAML::Parser parser(stream);
    TreeBuilder builder;
    while (parser.HandleNextDocument(builder)) {
    }
    return builder.TakeRoot();
  } catch (const YAML::Exception& e) {
    return absl::InvalidArgumentError(absl::StrCat(yaml.At(e.mark.line + 1), ": ", e.msg));
  }
}

}  // namespace bridge::config
