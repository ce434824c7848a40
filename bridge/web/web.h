#pragma once

#include <string_view>

#include "absl/types/span.h"

namespace bridge::web {

// A file of the page, as it is answered to GET. All of it is static data.
struct Asset {
  // "/" for the page itself, "/console/<name>" for what it loads.
  std::string_view path;
  std::string_view content_type;
  std::string_view body;
  // With its quotes, as in the ETag header; changes with the body.
  std::string_view etag;
};

// The page at "/" and all that it needs, embedded by embed_assets.cmake. It works under a Content-Security-Policy of
// "default-src 'self'".
absl::Span<const Asset> Assets();

}  // namespace bridge::web
