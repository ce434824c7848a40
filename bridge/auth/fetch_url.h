#pragma once

#include <atomic>
#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace bridge::auth {

// OK where FetchUrl fetches from `url`: https, or http where the host is localhost or a loopback address; no name and
// password in it. INVALID_ARGUMENT says what it is instead.
absl::Status CheckFetchUrl(const std::string& url);

struct FetchLimits {
  // From the look-up of the name to the last byte.
  absl::Duration timeout = absl::Seconds(10);
  size_t bytes_max = size_t{256} << 10;
};

// The body that a GET of `url` is answered with, status 200. Blocks, a second at most after `is_cancelled`. No redirect
// is followed, certificates are checked against the system's, and no credentials are sent.
//
// INVALID_ARGUMENT as of CheckFetchUrl; UNAVAILABLE says what went wrong, in one line that names the URL.
absl::StatusOr<std::string> FetchUrl(const std::string& url, const FetchLimits& limits,
                                     const std::atomic<bool>& is_cancelled);

}  // namespace bridge::auth
