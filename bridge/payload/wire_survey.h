#pragma once

#include <cstddef>

#include <google/protobuf/descriptor.h>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

#include "bridge/payload/json_estimate.h"
#include "bridge/payload/type_registry.h"

namespace bridge::payload {

// Messages within messages that a payload may have, those packed in an Any counted with the others: more than 64 JSON
// levels can need.
inline constexpr int kMessageLevelsMax = 300;

// Reads through the bytes of a message of `type`, without building anything of it, to say that it may be built: that
// every message in it, also in an Any, is well-formed and of a known type, its texts are UTF-8, and messages are nested
// at most kMessageLevelsMax deep. Two bytes can stand for a message of a kilobyte: what building it would take,
// roughly, is at most `built_bytes_max`.
//
// Adds to `estimate` what has been seen of it, also where it fails. INVALID_ARGUMENT says what is not so.
absl::Status SurveyWire(const google::protobuf::Descriptor& type, absl::string_view bytes, const TypeRegistry& types,
                        size_t built_bytes_max, JsonEstimate& estimate);

}  // namespace bridge::payload
