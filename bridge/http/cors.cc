#include "bridge/http/cors.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace bridge::http {
namespace {

constexpr const char* kAny = "*";
constexpr const char* kAllowedHeaders =
    "Authorization, Content-Type, Last-Event-ID, Cache-Control, Idempotency-Key, Prefer";
constexpr const char* kExposedHeaders = "Location, Preference-Applied, Retry-After, WWW-Authenticate";
// Chromium's own maximum; a preflight per POST would double its latency.
constexpr const char* kMaxAgeSeconds = "7200";

// Whether the authority of the origin is the one that was asked (RFC 6454 §4). A port that is the scheme's own may be
// left out.
bool IsSameHost(absl::string_view origin, absl::string_view host) {
  for (const auto& [scheme, port] : {std::pair<absl::string_view, absl::string_view>("http://", ":80"),
                                     std::pair<absl::string_view, absl::string_view>("https://", ":443")}) {
    absl::string_view authority = origin;
    if (absl::ConsumePrefix(&authority, scheme)) {
      absl::ConsumeSuffix(&authority, port);
      absl::ConsumeSuffix(&host, port);
      return absl::EqualsIgnoreCase(authority, host);
    }
  }
  return false;
}

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

bool Cors::MayAct(const httplib::Request& request) const {
  const std::string origin = request.get_header_value("Origin");
  if (origin.empty() || IsAllowed(origin)) {
    return true;
  }
  // Browsers send it to who is asked over https, or is this machine; no page can forge it.
  const std::string site = request.get_header_value("Sec-Fetch-Site");
  return site.empty() ? IsSameHost(origin, request.get_header_value("Host")) : site == "same-origin";
}

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

void Cors::AnswerPreflight(const httplib::Request& request, absl::string_view methods, httplib::Response* response,
                           const std::vector<std::string>& headers) const {
  response->status = 204;
  response->set_header("Allow", std::string(methods));
  if (IsAllowed(request.get_header_value("Origin"))) {
    response->set_header("Access-Control-Allow-Methods", std::string(methods));
    std::string allowed = kAllowedHeaders;
    for (const std::string& name : headers) {
      absl::StrAppend(&allowed, ", ", name);
    }
    response->set_header("Access-Control-Allow-Headers", allowed);
    response->set_header("Access-Control-Max-Age", kMaxAgeSeconds);
  }
}

}  // namespace bridge::http
