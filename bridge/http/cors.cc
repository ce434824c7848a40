#include "bridge/http/cors.h"

#include <algorithm>

#include "absl/strings/string_view.h"

namespace bridge::http {
namespace {

constexpr const char* kAny = "*";
constexpr const char* kAllowedHeaders = "Authorization, Content-Type, Last-Event-ID, Cache-Control";
constexpr const char* kExposedHeaders = "Retry-After, WWW-Authenticate";
// Chromium's own maximum; a preflight per POST would double its latency.
constexpr const char* kMaxAgeSeconds = "7200";

}  // namespace

bool Cors::AllowsAny() const {
  return std::find(options_.allowed_origins.begin(), options_.allowed_origins.end(), kAny) !=
         options_.allowed_origins.end();
}

bool Cors::Names(absl::string_view origin) const {
  return std::any_of(options_.allowed_origins.begin(), options_.allowed_origins.end(),
                     [&](const std::string& allowed) { return allowed != kAny && allowed == origin; });
}

bool Cors::IsAllowed(absl::string_view origin) const { return AllowsAny() || Names(origin); }

std::vector<std::pair<std::string, std::string>> Cors::HeadersFor(absl::string_view origin) const {
  if (options_.allowed_origins.empty()) {
    return {};
  }
  std::vector<std::pair<std::string, std::string>> headers = {{"Vary", "Origin"}};
  if (origin.empty() || !IsAllowed(origin)) {
    return headers;
  }
  headers.emplace_back("Access-Control-Allow-Origin", AllowsAny() ? kAny : std::string(origin));
  headers.emplace_back("Access-Control-Expose-Headers", kExposedHeaders);
  if (options_.allow_credentials) {
    headers.emplace_back("Access-Control-Allow-Credentials", "true");
  }
  return headers;
}

void Cors::AddHeaders(const httplib::Request& request, httplib::Response* response) const {
  for (const auto& [name, value] : HeadersFor(request.get_header_value("Origin"))) {
    response->set_header(name, value);
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
