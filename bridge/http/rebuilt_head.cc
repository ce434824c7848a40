#include "bridge/http/rebuilt_head.h"

#include <algorithm>
#include <array>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"

namespace bridge::http {
namespace {

bool IsDealtWith(absl::string_view name) {
  constexpr std::array<absl::string_view, 12> kNames = {
      "Content-Length", "Transfer-Encoding", "Content-Encoding", "Accept-Encoding", "Expect",     "Connection",
      "Range",          "If-Range",          "REMOTE_ADDR",      "REMOTE_PORT",     "LOCAL_ADDR", "LOCAL_PORT"};
  return std::any_of(kNames.begin(), kNames.end(),
                     [&](absl::string_view known) { return absl::EqualsIgnoreCase(name, known); });
}

// Appends a query with its question mark. A further question mark is an error to the library, and of a value with an
// equals sign 0.11 takes what stands behind it; in a query they are characters like others.
void AppendQuery(absl::string_view query, std::string* text) {
  bool is_in_value = false;
  for (size_t i = 0; i < query.size(); ++i) {
    const char c = query[i];
    if (c == '?' && i > 0) {
      *text += "%3F";
    } else if (c == '=' && is_in_value) {
      *text += "%3D";
    } else {
      *text += c;
    }
    is_in_value = c == '=' || (is_in_value && c != '&');
  }
}

// Appends a header's value, so that the library decodes it to what it is.
void AppendValue(absl::string_view value, std::string* text) {
  if (absl::StrContains(value, '%')) {
    *text += absl::StrReplaceAll(value, {{"%", "%25"}});
  } else {
    absl::StrAppend(text, value);
  }
}

}  // namespace

std::string RebuildHead(const RequestHead& head) {
  std::string text = absl::StrCat(head.method, " ");
  const size_t query = std::min(head.target.find('?'), head.target.size());
  absl::StrAppend(&text, head.target.substr(0, query));
  AppendQuery(head.target.substr(query), &text);
  absl::StrAppend(&text, " HTTP/1.", head.minor_version, "\r\n");
  for (const auto& header : head.headers) {
    if (!IsDealtWith(header.name)) {
      absl::StrAppend(&text, header.name, ": ");
      AppendValue(header.value, &text);
      text += "\r\n";
    }
  }
  text += "\r\n";
  return text;
}

}  // namespace bridge::http
