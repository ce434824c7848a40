#include "bridge/http/request_head.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

#include "bridge/base/shown.h"

namespace bridge::http {
namespace {

// RFC 9110 §5.6.2.
bool IsTokenChar(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("!#$%&'*+-.^_`|~", c);
}
bool IsToken(absl::string_view text) { return !text.empty() && std::all_of(text.begin(), text.end(), IsTokenChar); }

// RFC 9110 §5.5: visible characters, space, tab, and bytes over 0x7f.
bool IsFieldValueChar(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return c == '\t' || (byte >= 0x20 && byte != 0x7f);
}

// RFC 9110 §5.5: a value has space and tab before and behind it, and nothing else that other parsers take for space.
absl::string_view WithoutOuterSpace(absl::string_view text) {
  const size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

Refusal BadRequest(std::string detail) { return {.status = 400, .detail = std::move(detail)}; }

// The methods that the HTTP library knows, less those that have no use here.
constexpr std::array<absl::string_view, 7> kMethods = {"GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH"};

std::optional<Refusal> CheckTarget(RequestHead* head) {
  absl::string_view& target = head->target;
  for (const absl::string_view scheme : {"http://", "https://"}) {
    if (absl::StartsWithIgnoreCase(target, scheme)) {  // absolute-form, which a server has to accept
      const size_t path = target.find('/', scheme.size());
      head->host = target.substr(scheme.size(), path - scheme.size());
      if (head->host.empty()) {
        return BadRequest(absl::StrCat("request target ", base::Quoted(target), ": must name a host"));
      }
      target = path == absl::string_view::npos ? absl::string_view("/") : target.substr(path);
    }
  }
  if (target == "*" && head->method == "OPTIONS") {
    return std::nullopt;
  }
  if (target.empty() || target[0] != '/') {
    return BadRequest(absl::StrCat("request target ", base::Quoted(target), ": must start with /"));
  }
  for (size_t i = 0; i < target.size(); ++i) {
    const auto byte = static_cast<unsigned char>(target[i]);
    if (byte <= 0x20 || byte >= 0x7f || byte == '#') {
      return BadRequest(
          absl::StrCat("request target ", base::Quoted(target), ": byte ", i, " has to be percent-encoded"));
    }
    if (byte == '%') {
      const absl::string_view hex = target.substr(i + 1, 2);
      if (hex.size() != 2 || !absl::ascii_isxdigit(static_cast<unsigned char>(hex[0])) ||
          !absl::ascii_isxdigit(static_cast<unsigned char>(hex[1])) || hex == "00") {
        return BadRequest(absl::StrCat("request target ", base::Quoted(target), ": % at ", i,
                                       " is not followed by two hexadecimal digits other than 00"));
      }
    }
  }
  return std::nullopt;
}

std::optional<Refusal> ParseRequestLine(absl::string_view line, RequestHead* head) {
  if (line.size() + 2 > kLineBytesMax) {
    return Refusal{.status = 414, .detail = absl::StrCat("the request line is longer than ", kLineBytesMax, " bytes")};
  }
  const std::vector<absl::string_view> parts = absl::StrSplit(line, ' ');
  if (parts.size() != 3 || !IsToken(parts[0])) {
    return BadRequest(absl::StrCat("request line ", base::Quoted(line),
                                   ": must be METHOD, target and version, with one space between"));
  }
  head->method = parts[0];
  head->target = parts[1];
  const absl::string_view version = parts[2];
  if (version == "HTTP/1.1") {
    head->minor_version = 1;
  } else if (version == "HTTP/1.0") {
    head->minor_version = 0;
  } else if (absl::StartsWith(version, "HTTP/") && version.size() == 8) {
    return Refusal{
        .status = 505,
        .detail = absl::StrCat("version ", base::Quoted(version), ": HTTP/1.1 and HTTP/1.0 are spoken here")};
  } else {
    return BadRequest(absl::StrCat("version ", base::Quoted(version), ": must be HTTP/1.1 or HTTP/1.0"));
  }
  if (std::find(kMethods.begin(), kMethods.end(), head->method) == kMethods.end()) {
    return Refusal{.status = 501, .detail = absl::StrCat("method ", base::Quoted(head->method), " is not known here")};
  }
  return CheckTarget(head);
}

std::optional<Refusal> ParseHeader(absl::string_view line, RequestHead* head) {
  const size_t colon = line.find(':');
  const absl::string_view name = line.substr(0, colon);
  if (colon == absl::string_view::npos || !IsToken(name)) {
    return BadRequest(absl::StrCat("header line ", base::Quoted(line),
                                   ": must be a name, a colon directly behind it, and a value; lines are not folded"));
  }
  const absl::string_view value = WithoutOuterSpace(line.substr(colon + 1));
  if (!std::all_of(value.begin(), value.end(), IsFieldValueChar)) {
    return BadRequest(absl::StrCat("header ", name, ": control characters are not allowed in its value"));
  }
  const auto escaped = static_cast<size_t>(std::count(value.begin(), value.end(), '%'));
  if (name.size() + value.size() + 2 * escaped + 4 > kLineBytesMax) {  // as it is rebuilt
    return Refusal{.status = 431,
                   .detail = absl::StrCat("header ", base::Quoted(name), " is longer than ", kLineBytesMax,
                                          " bytes; a % counts as three")};
  }
  if (head->headers.size() == kHeadersMax) {
    return Refusal{.status = 431, .detail = absl::StrCat("more than ", kHeadersMax, " headers")};
  }
  head->headers.push_back({.name = name, .value = value});
  return std::nullopt;
}

std::optional<Refusal> CheckHost(RequestHead* head) {
  size_t count = 0;
  absl::string_view host_of_header;
  for (const auto& header : head->headers) {
    if (absl::EqualsIgnoreCase(header.name, "Host")) {
      ++count;
      const auto host = HostOfAuthority(header.value);
      if (!host) {
        return BadRequest(absl::StrCat("Host ", base::Quoted(header.value), ": must be a host and perhaps a port"));
      }
      host_of_header = *host;
    }
  }
  if (count > 1 || (count == 0 && head->minor_version == 1)) {
    return BadRequest("there must be exactly one Host header");
  }
  if (head->host.empty()) {
    head->host = host_of_header;
    return std::nullopt;
  }
  const auto host = HostOfAuthority(head->host);  // RFC 9112 §3.2.2: the target's counts, and not the header's
  if (!host) {
    return BadRequest(
        absl::StrCat("request target's host ", base::Quoted(head->host), ": must be a host and perhaps a port"));
  }
  head->host = *host;
  return std::nullopt;
}

std::optional<Refusal> CheckFraming(RequestHead* head) {
  bool has_length = false;
  for (const auto& header : head->headers) {
    if (absl::EqualsIgnoreCase(header.name, "Content-Length")) {
      uint64_t length = 0;
      const bool is_number = !header.value.empty() && std::all_of(header.value.begin(), header.value.end(), [](char c) {
        return absl::ascii_isdigit(static_cast<unsigned char>(c));
      });
      if (has_length || !is_number || !absl::SimpleAtoi(header.value, &length)) {
        return BadRequest(absl::StrCat("Content-Length ", base::Quoted(header.value), ": must be one decimal number"));
      }
      has_length = true;
      head->content_length = length;
    } else if (absl::EqualsIgnoreCase(header.name, "Transfer-Encoding")) {
      if (head->is_chunked || !absl::EqualsIgnoreCase(header.value, "chunked")) {
        return Refusal{.status = 501,
                       .detail = absl::StrCat("Transfer-Encoding ", base::Quoted(header.value),
                                              ": only one, chunked, is known here")};
      }
      head->is_chunked = true;
    } else if (absl::EqualsIgnoreCase(header.name, "Content-Encoding")) {
      if (!absl::EqualsIgnoreCase(header.value, "identity")) {
        return Refusal{
            .status = 415,
            .detail = absl::StrCat("Content-Encoding ", base::Quoted(header.value), ": send the body as it is")};
      }
    } else if (absl::EqualsIgnoreCase(header.name, "Expect")) {
      if (!absl::EqualsIgnoreCase(header.value, "100-continue")) {
        return Refusal{
            .status = 417,
            .detail = absl::StrCat("Expect ", base::Quoted(header.value), ": only 100-continue is known here")};
      }
      head->expects_continue = head->minor_version == 1;
    }
  }
  if (head->is_chunked && (has_length || head->minor_version == 0)) {
    return BadRequest("Transfer-Encoding with Content-Length or in HTTP/1.0: the end of the body would be uncertain");
  }
  return std::nullopt;
}

void NoteConnection(RequestHead* head) {
  head->is_keep_alive = head->minor_version == 1;
  for (const auto& header : head->headers) {
    if (!absl::EqualsIgnoreCase(header.name, "Connection")) {
      continue;
    }
    for (const absl::string_view option : absl::StrSplit(header.value, ',')) {
      if (absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(option), "close")) {
        head->is_keep_alive = false;
        return;
      }
      if (absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(option), "keep-alive")) {
        head->is_keep_alive = true;
      }
    }
  }
}

}  // namespace

absl::string_view RequestHead::Find(absl::string_view name) const {
  for (const auto& header : headers) {
    if (absl::EqualsIgnoreCase(header.name, name)) {
      return header.value;
    }
  }
  return {};
}

std::optional<absl::string_view> HostOfAuthority(absl::string_view authority) {
  absl::string_view host;
  absl::string_view rest;
  if (absl::StartsWith(authority, "[")) {
    const size_t end = authority.find(']');
    if (end == absl::string_view::npos) {
      return std::nullopt;
    }
    host = authority.substr(1, end - 1);
    rest = authority.substr(end + 1);
  } else {
    const size_t colon = authority.find(':');
    host = authority.substr(0, colon);
    rest = colon == absl::string_view::npos ? absl::string_view() : authority.substr(colon);
  }
  const bool is_host = !host.empty() && std::all_of(host.begin(), host.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains(".-_~:%", c);
  });
  const bool is_port =
      rest.empty() || (rest[0] == ':' && rest.size() <= 6 && std::all_of(rest.begin() + 1, rest.end(), [](char c) {
                         return absl::ascii_isdigit(static_cast<unsigned char>(c));
                       }));
  return is_host && is_port ? std::optional(host) : std::nullopt;
}

std::optional<Refusal> ParseRequestHead(absl::string_view bytes, RequestHead* head) {
  *head = RequestHead();
  bool is_first = true;
  while (true) {
    const size_t end = bytes.find('\n');
    if (end == absl::string_view::npos || end == 0 || bytes[end - 1] != '\r') {
      return BadRequest("a line of the request's head does not end with CR LF");
    }
    const absl::string_view line = bytes.substr(0, end - 1);
    bytes.remove_prefix(end + 1);
    if (line.empty()) {
      break;
    }
    if (auto refusal = is_first ? ParseRequestLine(line, head) : ParseHeader(line, head)) {
      return refusal;
    }
    is_first = false;
  }
  if (is_first) {
    return BadRequest("the request has no request line");
  }
  if (!bytes.empty()) {
    return BadRequest("bytes behind the end of the head");
  }
  if (auto refusal = CheckHost(head)) {
    return refusal;
  }
  NoteConnection(head);
  return CheckFraming(head);
}

}  // namespace bridge::http
