#pragma once

#include <google/protobuf/struct.pb.h>

#include "absl/status/status.h"

#include "bridge/payload/bounded_output.h"
#include "bridge/payload/json_estimate.h"
#include "bridge/payload/json_printer.h"

namespace bridge::payload {

// Appends `value` as compact JSON to `output`, the members of objects in the order of their names. Drops the unknown
// fields of `value`. INVALID_ARGUMENT: nested deeper than 64 levels, a number is NaN or infinite, a value is not set.
// Adds to `estimate`.
absl::Status PrintValue(google::protobuf::Value& value, const JsonPrinter& printer, BoundedOutput& output,
                        JsonEstimate& estimate);

}  // namespace bridge::payload
