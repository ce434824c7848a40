#include "bridge/config/section_reader.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <google/protobuf/descriptor.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"

#include "bridge/base/shown.h"
#include "bridge/base/status_macros.h"
#include "bridge/config/environment.h"
#include "bridge/config/schema.h"

namespace bridge::config {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// What an error shows of a key.
constexpr size_t kKeyBytesMax = 64;

// How many insertions, removals and replacements of a byte lead from `a` to `b` (Levenshtein).
size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({replaced, row[j] + 1, row[j - 1] + 1}));
    }
  }
  return row.back();
}

// "did you mean ...?" where a key of `type` is like `key`, else all that there are.
std::string KnownKeys(const Descriptor& type, absl::string_view key) {
  constexpr size_t kDistanceMax = 3;
  std::vector<absl::string_view> names;
  absl::string_view nearest;
  size_t nearest_distance = std::min(kDistanceMax, key.size() / 2) + 1;
  for (int i = 0; i < type.field_count(); ++i) {
    names.emplace_back(type.field(i)->name());
    const size_t distance = EditDistance(key, names.back());
    if (distance < nearest_distance) {
      nearest = names.back();
      nearest_distance = distance;
    }
  }
  return nearest.empty() ? absl::StrCat("the keys here are ", absl::StrJoin(names, ", "))
                         : absl::StrCat("did you mean ", nearest, "?");
}

// What `node` is, where `wanted` belongs.
std::string WrongKind(const YamlNode& node, absl::string_view wanted) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return "has no value: write one, or remove the key for its default";
    case YamlNode::Kind::kScalar:
      return absl::StrCat(base::Quoted(node.scalar), " stands where ", wanted);
    case YamlNode::Kind::kList:
      return absl::StrCat("a list stands where ", wanted);
    case YamlNode::Kind::kMap:
      return absl::StrCat("a section stands where ", wanted);
  }
  return "";
}

class SectionReader {
 public:
  explicit SectionReader(const YamlText& yaml) : yaml_(yaml) {}

  // `path` is that of the section; empty for the root.
  absl::Status ReadSection(const YamlNode& node, const std::string& path, Message& message) const {
    if (node.kind == YamlNode::Kind::kNull) {
      return absl::OkStatus();  // all its keys may be commented out
    }
    if (node.kind != YamlNode::Kind::kMap) {
      return Error(node, path, WrongKind(node, "a section belongs: write key: value pairs"));
    }
    std::set<absl::string_view> keys;
    for (const YamlNode& child : node.children) {
      const std::string key = absl::CHexEscape(absl::string_view(child.key).substr(0, kKeyBytesMax));
      const std::string child_path = path.empty() ? key : absl::StrCat(path, ".", key);
      const FieldDescriptor* const field = message.GetDescriptor()->FindFieldByName(child.key);
      if (field == nullptr) {
        return Error(child, child_path, absl::StrCat("unknown key; ", KnownKeys(*message.GetDescriptor(), key)));
      }
      if (!keys.insert(child.key).second) {
        return Error(child, child_path, "stands here a second time; remove one of the two");
      }
      RETURN_IF_ERROR(ReadField(child, child_path, *field, message));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status ReadField(const YamlNode& node, const std::string& path, const FieldDescriptor& field,
                         Message& message) const {
    if (field.is_repeated()) {
      return ReadList(node, path, field, message);
    }
    return IsSection(field) ? ReadSection(node, path, *message.GetReflection()->MutableMessage(&message, &field))
                            : ReadValue(node, path, field, message);
  }

  absl::Status ReadList(const YamlNode& node, const std::string& path, const FieldDescriptor& field,
                        Message& message) const {
    if (node.kind != YamlNode::Kind::kList) {
      return Error(node, path,
                   WrongKind(node, IsSection(field) ? "a list of sections belongs: write [{key: value}], or [] for none"
                                                    : "a list belongs: write [a, b], or [] for none"));
    }
    message.GetReflection()->ClearField(&message, &field);
    for (size_t i = 0; i < node.children.size(); ++i) {
      const std::string child_path = absl::StrCat(path, "[", i, "]");
      if (!IsSection(field)) {
        RETURN_IF_ERROR(ReadValue(node.children[i], child_path, field, message));
        continue;
      }
      Message& section = *message.GetReflection()->AddMessage(&message, &field);
      RETURN_IF_ERROR(SetDefaults(section));
      RETURN_IF_ERROR(ReadSection(node.children[i], child_path, section));
    }
    return absl::OkStatus();
  }

  absl::Status ReadValue(const YamlNode& node, const std::string& path, const FieldDescriptor& field,
                         Message& message) const {
    if (node.kind != YamlNode::Kind::kScalar) {
      return Error(node, path, WrongKind(node, "a single value belongs"));
    }
    const absl::StatusOr<std::string> text = ExpandEnvironment(node.scalar);
    if (!text.ok()) {
      return Error(node, path, absl::StrCat(base::Quoted(node.scalar), " ", text.status().message()));
    }
    const absl::Status status = SetValue(field, *text, message);
    return status.ok() ? status : Error(node, path, absl::StrCat(base::Quoted(*text), " ", status.message()));
  }

  absl::Status Error(const YamlNode& node, absl::string_view path, absl::string_view what) const {
    return absl::InvalidArgumentError(path.empty() ? absl::StrCat(yaml_.At(node.line), ": ", what)
                                                   : absl::StrCat(yaml_.At(node.line), ": ", path, ": ", what));
  }

  const YamlText& yaml_;
};

}  // namespace

absl::Status ReadSection(const YamlNode& root, const YamlText& yaml, Message& message) {
  return SectionReader(yaml).ReadSection(root, "", message);
}

}  // namespace bridge::config
