#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "bridge/base/json.h"

namespace bridge::auth {

constexpr size_t kJsonLevelsMax = 16;

// The JSON object that `text` is, read by Boost.JSON. INVALID_ARGUMENT: it is none, it has a member twice, or it nests
// deeper than kJsonLevelsMax. The message shows nothing of the text and goes on from a thing that is already named: "is
// no JSON object ...". Takes 10 to 50 ns per value; what calls this bounds the text.
absl::StatusOr<boost::json::object> ParseJsonObject(absl::string_view text);

// The member of that name; null where there is none.
const boost::json::value* FindMember(const boost::json::object& object, absl::string_view name);

// The member at a dotted path: "bridge.subscribe" is the member of that name, else "subscribe" in the object "bridge".
const boost::json::value* FindPath(const boost::json::object& object, absl::string_view path);

// The member of that name where it is a text, borrowed.
std::optional<absl::string_view> FindText(const boost::json::object& object, absl::string_view name);

}  // namespace bridge::auth
