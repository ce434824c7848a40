#pragma once

#include <cstdint>
#include <string>

#include <google/protobuf/message.h>
#include <google/protobuf/util/type_resolver.h>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

#include "bridge/payload/bounded_output.h"

namespace bridge::payload {

// The JSON levels of lists and objects that a payload may have.
inline constexpr int kJsonLevelsMax = 64;

// The error of a payload with more. Like this folder's other errors, it goes on from the name of what is nested.
absl::Status TooDeepError();
// The errors of a google.protobuf.Value that is not set, and of a number that JSON cannot have.
absl::Status UnsetValueError();
absl::Status NotFiniteError();

// How a message's fields are called in JSON.
enum class JsonNames : uint8_t { kLowerCamel, kOriginal };

// protobuf's proto3 JSON. Thread-safe as its resolver is.
class JsonPrinter {
 public:
  JsonPrinter(google::protobuf::util::TypeResolver& resolver, JsonNames names) : resolver_(&resolver), names_(names) {}

  // Appends the JSON of `message` to `output`, members of maps in the order of their keys. The resolver knows its type.
  //
  // INVALID_ARGUMENT: it has none, with protobuf's reason; `output` then ends anywhere.
  // REQUIRES: `message` and what is packed in it have no unknown fields, and every Value is set: protobuf writes broken
  // JSON where not.
  absl::Status Print(const google::protobuf::Message& message, BoundedOutput& output) const;

 private:
  google::protobuf::util::TypeResolver* resolver_;
  JsonNames names_;
};

// `message` as bytes, the entries of its maps in the order of their keys.
std::string SerializedInOrder(const google::protobuf::Message& message);

// How deep lists and objects are nested in `json`, which is well-formed.
int JsonLevels(absl::string_view json);

}  // namespace bridge::payload
