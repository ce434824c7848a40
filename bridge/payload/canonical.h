#pragma once

#include <memory>

#include <google/protobuf/message.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "bridge/payload/type_registry.h"

namespace bridge::payload {

// Parses `bytes` into `message`. INVALID_ARGUMENT: they are none of its type, are nested deeper than kMessageLevelsMax,
// or lack required fields.
absl::Status ParseMessage(absl::string_view bytes, google::protobuf::Message& message);

// Parses the bytes of a message of `type` into what protobuf's JSON can be trusted with: no unknown fields, every Value
// set and finite, all required fields there, also in the messages that are packed in its Anys, whose bytes are written
// anew.
//
// INVALID_ARGUMENT says what is not so. REQUIRES: SurveyWire is content with the bytes.
absl::StatusOr<std::unique_ptr<google::protobuf::Message>> ParseCanonical(const google::protobuf::Descriptor& type,
                                                                          absl::string_view bytes,
                                                                          const TypeRegistry& types);

}  // namespace bridge::payload
