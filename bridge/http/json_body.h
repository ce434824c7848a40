#pragma once

#include <httplib.h>
#include <optional>
#include <string>

#include <google/protobuf/message.h>

#include "absl/strings/string_view.h"

#include "bridge/http/problem.h"

namespace bridge::http {

// Where the body is said to be anything but JSON: 415. A page of another origin can send such a body only after a
// preflight.
std::optional<Problem> CheckIsJson(const httplib::Request& request);

// Reads a body into `message` by protobuf's JSON mapping; a field that is not known is a problem. `what` the body is
// to be, "a subscription", and a right one.
std::optional<Problem> ReadJsonBody(const std::string& body, absl::string_view what, absl::string_view example,
                                    google::protobuf::Message* message);

// `message` as JSON with its fields' original names; those that have their default are left out. REQUIRES: its text is
// UTF-8.
std::string WriteJson(const google::protobuf::Message& message);

}  // namespace bridge::http
