#include "bridge/http/cors.h"

#include <algorithm>

#include "absl/strings/string_view.h"

namespace bridge::http {
namespace {

constexpr const char* kAllowedHeaders = "Authorization, Content-Type, Last-Event-ID, Cache-Control";
constexpr const char* kExposedHeaders = "Retry-After";
// Chromium's own maximum; a preflight per POST would double its latency.
constexpr const char* kMaxAgeSeconds = "7200";

}  // namespace

bool Cors::IsAllowed(absl::string_view origin) const {
  return std::any_of(options_.allowed_origins.begin(), options_.allowed_origins.end(),
                     [&](const std::string& allowed) { return allowed == "*" || allowed == origin; });
}

void Cors::AddHeaders(const httplib::Request& request, httplib::Response* response) const {
  if (options_.allowed_origins.empty()) {
    return;
  }
  response->set_header("Vary", "Origin");
  const std::string origin = request.get_header_value("Origin");
  if (origin.empty() || !IsAllowed(origin)) {
    return;
  }
  const bool is_any = std::find(options_.allowed_origins.begin(), options_.allowed_origins.end(), "*") !=
                      options_.allowed_origins.end();
  response->set_header("Access-Control-Allow-Origin", is_any ? "*" : origin);
  response->set_header("Access-Control-Expose-Headers", kExposedHeaders);
  if (options_.allow_credentials) {
    response->set_header("Access-Control-Allow-Credentials", "true");
  }
}

void Cors::AnswerPreflight(const httplib::Request& request, absl::string_view methods,
                           httplib::Response* response) const {
  response->status = 204;
  response->set_header("Allow", std::string(methods));
  if (IsAllowed(request.get_header_value("Origin"))) {
    response->set_header("Access-Control-Allow-Methods", std::string(methods));
    response->set_header("Access-Control-Allow-Headers", kAllowedHeaders);
    response->set_header("Access-Control-Max-Age", kMaxAgeSeconds);
  }
}

}  // namespace bridge::http
