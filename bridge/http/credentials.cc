#include "bridge/http/credentials.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace bridge::http {
namespace {

using Kind = Credential::Kind;

// RFC 9110 §11.4. Nothing where the scheme is another one.
std::optional<std::string> BearerToken(absl::string_view authorization) {
  const size_t space = authorization.find(' ');
  if (!absl::EqualsIgnoreCase(authorization.substr(0, space), "Bearer")) {
    return std::nullopt;
  }
  const absl::string_view rest = space == absl::string_view::npos ? absl::string_view() : authorization.substr(space);
  return std::string(absl::StripAsciiWhitespace(rest));
}

// The values of the cookies of that name (RFC 6265 §5.4).
std::vector<std::string> CookiesOf(const httplib::Request& request, const std::string& name) {
  std::vector<std::string> values;
  const auto [begin, end] = request.headers.equal_range("Cookie");
  for (auto header = begin; header != end; ++header) {
    for (const absl::string_view pair : absl::StrSplit(header->second, ';')) {
      absl::string_view value = absl::StripAsciiWhitespace(pair);
      if (absl::ConsumePrefix(&value, name) && absl::ConsumePrefix(&value, "=")) {
        if (value.size() >= 2 && absl::StartsWith(value, "\"") && absl::EndsWith(value, "\"")) {
          value = value.substr(1, value.size() - 2);
        }
        values.emplace_back(value);
      }
    }
  }
  return values;
}

bool IsSentByOwnPage(const httplib::Request& request, const Cors& cors) {
  const std::string site = request.get_header_value("Sec-Fetch-Site");
  return site == "same-origin" || site == "same-site" || cors.Names(request.get_header_value("Origin"));
}

Problem MoreThanOne(absl::string_view what, std::string parameter) {
  return {.detail = absl::StrCat(what, " is there more than once, and only one can say who the client is"),
          .parameter = std::move(parameter)};
}

}  // namespace

std::variant<Credential, Problem> FindCredential(const httplib::Request& request, const CredentialPlaces& places,
                                                 const Cors& cors) {
  if (request.get_header_value_count("Authorization") > 1) {
    return MoreThanOne("the header Authorization", "Authorization");
  }
  if (auto token = BearerToken(request.get_header_value("Authorization"))) {
    return Credential{.kind = Kind::kToken, .text = *std::move(token)};
  }
  const std::pair<const std::string*, Kind> parameters[] = {{&places.ticket_parameter, Kind::kTicket},
                                                            {&places.token_parameter, Kind::kToken}};
  for (const auto& [name, kind] : parameters) {
    const bool is_read = request.method == "GET" || request.method == "HEAD";
    if (name->empty() || !is_read || !request.has_param(*name)) {
      continue;
    }
    if (request.get_param_value_count(*name) > 1) {
      return MoreThanOne(absl::StrCat("the query parameter ", *name), *name);
    }
    return Credential{.kind = kind, .text = request.get_param_value(*name)};
  }
  if (places.cookie.empty()) {
    return Credential();
  }
  std::vector<std::string> cookies = CookiesOf(request, places.cookie);
  if (cookies.empty()) {
    return Credential();
  }
  if (!IsSentByOwnPage(request, cors)) {
    return Credential{.has_foreign_cookie = true};
  }
  if (cookies.size() > 1) {
    return MoreThanOne(absl::StrCat("the cookie ", places.cookie), "Cookie");
  }
  return Credential{.kind = Kind::kToken, .text = std::move(cookies[0])};
}

}  // namespace bridge::http
