#pragma once

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace bridge::base {

// The error with `what` in front of its message; OK stays OK.
inline absl::Status Annotated(const absl::Status& status, absl::string_view what) {
  return status.ok() ? status : absl::Status(status.code(), absl::StrCat(what, status.message()));
}

}  // namespace bridge::base
