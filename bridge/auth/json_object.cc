#include "bridge/auth/json_object.h"

#include <cstddef>
#include <cstdint>
#include <utility>

#include <boost/json/basic_parser_impl.hpp>

#include "absl/status/status.h"

namespace bridge::auth {

namespace json = boost::json;

namespace {

// What Boost's parser tells becomes a tree, as with Boost's own handler, and the members of all objects are counted: of
// those that stand twice the tree has one.
class TreeBuilder {
 public:
  // NOLINTBEGIN(readability-identifier-naming): the parser looks for these.
  static constexpr size_t max_object_size = json::object::max_size();
  static constexpr size_t max_array_size = json::array::max_size();
  static constexpr size_t max_key_size = json::string::max_size();
  static constexpr size_t max_string_size = json::string::max_size();
  // NOLINTEND(readability-identifier-naming)

  TreeBuilder() { stack_.reset(); }

  size_t members() const { return members_; }
  json::value Release() { return stack_.release(); }

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }
  bool on_object_begin(json::error_code&) { return true; }
  bool on_object_end(size_t count, json::error_code&) {
    members_ += count;
    stack_.push_object(count);
    return true;
  }
  bool on_array_begin(json::error_code&) { return true; }
  bool on_array_end(size_t count, json::error_code&) {
    stack_.push_array(count);
    return true;
  }
  bool on_key_part(json::string_view part, size_t, json::error_code&) {
    stack_.push_chars(part);
    return true;
  }
  bool on_key(json::string_view rest, size_t, json::error_code&) {
    stack_.push_key(rest);
    return true;
  }
  bool on_string_part(json::string_view part, size_t, json::error_code&) {
    stack_.push_chars(part);
    return true;
  }
  bool on_string(json::string_view rest, size_t, json::error_code&) {
    stack_.push_string(rest);
    return true;
  }
  bool on_number_part(json::string_view, json::error_code&) { return true; }
  bool on_int64(int64_t number, json::string_view, json::error_code&) {
    stack_.push_int64(number);
    return true;
  }
  bool on_uint64(uint64_t number, json::string_view, json::error_code&) {
    stack_.push_uint64(number);
    return true;
  }
  bool on_double(double number, json::string_view, json::error_code&) {
    stack_.push_double(number);
    return true;
  }
  bool on_bool(bool is_true, json::error_code&) {
    stack_.push_bool(is_true);
    return true;
  }
  bool on_null(json::error_code&) {
    stack_.push_null();
    return true;
  }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

 private:
  json::value_stack stack_;
  size_t members_ = 0;
};

size_t CountMembers(const json::value& value) {
  size_t members = 0;
  if (const json::object* const object = value.if_object(); object != nullptr) {
    members = object->size();
    for (const json::key_value_pair& member : *object) {
      members += CountMembers(member.value());
    }
  } else if (const json::array* const array = value.if_array(); array != nullptr) {
    for (const json::value& element : *array) {
      members += CountMembers(element);
    }
  }
  return members;
}

}  // namespace

absl::StatusOr<json::object> ParseJsonObject(absl::string_view text) {
  json::parse_options strict;
  strict.max_depth = kJsonLevelsMax;
  json::basic_parser<TreeBuilder> parser(strict);
  json::error_code error;
  const size_t bytes = parser.write_some(/*more=*/false, text.data(), text.size(), error);
  if (!error && bytes == text.size()) {
    json::value tree = parser.handler().Release();
    if (tree.is_object() && CountMembers(tree) == parser.handler().members()) {
      return std::move(tree.get_object());
    }
  }
  return absl::InvalidArgumentError("is no JSON object, or one with a member twice, or one that nests too deep");
}

const json::value* FindMember(const json::object& object, absl::string_view name) {
  return object.if_contains(base::JsonText(name));
}

const json::value* FindPath(const json::object& object, absl::string_view path) {
  if (const json::value* const whole = FindMember(object, path); whole != nullptr) {
    return whole;
  }
  for (size_t dot = path.find('.'); dot != absl::string_view::npos; dot = path.find('.', dot + 1)) {
    const json::value* const outer = FindMember(object, path.substr(0, dot));
    if (outer != nullptr && outer->is_object()) {
      return FindPath(outer->get_object(), path.substr(dot + 1));
    }
  }
  return nullptr;
}

std::optional<absl::string_view> FindText(const json::object& object, absl::string_view name) {
  const json::value* const member = FindMember(object, name);
  if (member == nullptr || !member->is_string()) {
    return std::nullopt;
  }
  return base::TextOf(member->get_string());
}

}  // namespace bridge::auth
