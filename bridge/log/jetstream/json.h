#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"

#include "bridge/base/json.h"

namespace bridge::log::jetstream {

// A number of `object`, 0 where it has none of this name.
uint64_t JsonUint(const boost::json::object& object, absl::string_view name);
int64_t JsonInt(const boost::json::object& object, absl::string_view name);
bool JsonBool(const boost::json::object& object, absl::string_view name);
// Empty where there is none.
absl::string_view JsonString(const boost::json::object& object, absl::string_view name);
// An object in it, or an empty one.
const boost::json::object& JsonObject(const boost::json::object& object, absl::string_view name);

}  // namespace bridge::log::jetstream
