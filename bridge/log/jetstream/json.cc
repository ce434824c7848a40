#include "bridge/log/jetstream/json.h"

namespace bridge::log::jetstream {

uint64_t JsonUint(const boost::json::object& object, absl::string_view name) {
  const boost::json::value* const value = object.if_contains(base::JsonText(name));
  if (value == nullptr) {
    return 0;
  }
  if (value->is_uint64()) {
    return value->get_uint64();
  }
  return value->is_int64() && value->get_int64() > 0 ? static_cast<uint64_t>(value->get_int64()) : 0;
}

int64_t JsonInt(const boost::json::object& object, absl::string_view name) {
  const boost::json::value* const value = object.if_contains(base::JsonText(name));
  return value != nullptr && value->is_int64() ? value->get_int64() : 0;
}

bool JsonBool(const boost::json::object& object, absl::string_view name) {
  const boost::json::value* const value = object.if_contains(base::JsonText(name));
  return value != nullptr && value->is_bool() && value->get_bool();
}

absl::string_view JsonString(const boost::json::object& object, absl::string_view name) {
  const boost::json::value* const value = object.if_contains(base::JsonText(name));
  if (value == nullptr || !value->is_string()) {
    return {};
  }
  return base::TextOf(value->get_string());
}

const boost::json::object& JsonObject(const boost::json::object& object, absl::string_view name) {
  static const boost::json::object* const empty = new boost::json::object();
  const boost::json::value* const value = object.if_contains(base::JsonText(name));
  return value != nullptr && value->is_object() ? value->get_object() : *empty;
}

}  // namespace bridge::log::jetstream
