#include "bridge/http/calls_request.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "bridge/base/shown.h"
#include "bridge/base/utf8.h"

namespace bridge::http {
namespace {

constexpr size_t kParameterShownMax = 100;
constexpr size_t kKeyBytesMax = 128;
// 128 random bits in base64.
constexpr size_t kSecretBytesMin = 22;

constexpr const char* kKey = "Idempotency-Key";
constexpr const char* kKeyExample = "Idempotency-Key: \"8e03978e-40d5-43e8-bc93-6894a57f9324\"";

using Query = std::map<std::string, std::string>;

// The query, where it has none but these parameters, each once.
std::variant<Query, Problem> ReadQuery(const httplib::Request& request, std::vector<std::string> known) {
  Query query;
  for (const auto& [name, value] : request.params) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return Problem{.detail = absl::StrCat("the query parameter ", base::Quoted(name), " is not known; ",
                                            known.empty() ? "there is none" : "known are ", absl::StrJoin(known, ", ")),
                     .parameter = base::Shown(name, kParameterShownMax)};
    }
    if (!query.emplace(name, value).second) {
      return Problem{.detail = absl::StrCat("the query parameter ", name, " is given more than once"),
                     .parameter = name};
    }
  }
  return query;
}

// As GET /events takes it: the header, then the parameters of two kinds of clients.
std::string LastEventIdOf(const httplib::Request& request, Query& query) {
  std::string id = request.get_header_value("Last-Event-ID");
  for (const char* const name : {"lastEventId", "last_event_id"}) {
    if (id.empty()) {
      id = query[name];
    }
  }
  return id;
}

std::optional<Problem> ReadTimeout(const std::string& text, absl::Duration* timeout) {
  absl::Duration wanted;
  if (!absl::ParseDuration(text, &wanted) || wanted < absl::Milliseconds(1) || wanted == absl::InfiniteDuration()) {
    return Problem{.detail = absl::StrCat("timeout ", base::Quoted(text),
                                          ": must be a number with a unit (ms, s, m, h), 1ms or more"),
                   .parameter = "timeout",
                   .example = "timeout=30s"};
  }
  *timeout = std::min(*timeout, wanted);
  return std::nullopt;
}

std::optional<Problem> ReadOnDisconnect(const std::string& text, calls::OnDisconnect* on_disconnect) {
  if (text == "grace") {
    *on_disconnect = calls::OnDisconnect::kGrace;
  } else if (text == "cancel") {
    *on_disconnect = calls::OnDisconnect::kCancel;
  } else if (text == "continue") {
    *on_disconnect = calls::OnDisconnect::kContinue;
  } else {
    return Problem{
        .detail = absl::StrCat("on_disconnect ", base::Quoted(text), R"(: must be "grace", "cancel" or "continue")"),
        .parameter = "on_disconnect",
        .example = "on_disconnect=continue"};
  }
  return std::nullopt;
}

// The text of a structured field's string (RFC 8941 §3.3.3); what is no such string is taken as it is.
std::optional<std::string> Unquoted(absl::string_view value) {
  if (!absl::StartsWith(value, "\"")) {
    return std::string(value);
  }
  std::string text;
  for (size_t i = 1; i < value.size(); ++i) {
    if (value[i] == '"') {
      return i + 1 == value.size() ? std::optional(text) : std::nullopt;
    }
    i += value[i] == '\\' ? 1U : 0U;
    if (i < value.size()) {
      text += value[i];
    }
  }
  return std::nullopt;
}

std::optional<Problem> ReadKey(const httplib::Request& request, std::string* key) {
  if (!request.has_header(kKey)) {
    return std::nullopt;
  }
  const std::string value = request.get_header_value(kKey);
  const auto text = Unquoted(value);
  const auto is_printable = [](char c) { return absl::ascii_isprint(static_cast<unsigned char>(c)); };
  if (request.get_header_value_count(kKey) > 1 || !text.has_value() || text->empty() || text->size() > kKeyBytesMax ||
      !std::all_of(text->begin(), text->end(), is_printable)) {
    return Problem{.detail = absl::StrCat(kKey, " ", base::Quoted(value), ": must be one text of 1 to ", kKeyBytesMax,
                                          " characters of printable ASCII, plain or in double quotes"),
                   .parameter = kKey,
                   .example = kKeyExample};
  }
  *key = *text;
  return std::nullopt;
}

// Whether the preference stands in one of the headers Prefer (RFC 7240 §2), however it is written.
bool Prefers(const httplib::Request& request, absl::string_view wanted) {
  const auto [begin, end] = request.headers.equal_range("Prefer");
  for (auto header = begin; header != end; ++header) {
    absl::string_view rest = header->second;
    while (!rest.empty()) {
      bool is_quoted = false;
      size_t size = 0;
      for (; size < rest.size() && (is_quoted || rest[size] != ','); ++size) {
        if (rest[size] == '"') {
          is_quoted = !is_quoted;
        } else if (is_quoted && rest[size] == '\\') {
          ++size;
        }
      }
      const absl::string_view preference = rest.substr(0, size);
      if (absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(preference.substr(0, preference.find_first_of(";="))),
                                 wanted)) {
        return true;
      }
      rest.remove_prefix(std::min(size + 1, rest.size()));
    }
  }
  return false;
}

std::optional<Problem> CheckIsUtf8(const std::string& name, const std::string& value) {
  if (base::IsUtf8(value)) {
    return std::nullopt;
  }
  return Problem{.detail = absl::StrCat("the header ", name, " is handed to a worker, and must be UTF-8"),
                 .parameter = name};
}

std::optional<Problem> ReadMetadata(const RequestHead& head, const CallRules& rules, calls::CallRequest* call) {
  for (const std::string& name : rules.metadata) {
    std::vector<absl::string_view> values;
    for (const RequestHead::Header& line : head.headers) {
      if (absl::EqualsIgnoreCase(line.name, name)) {
        values.push_back(line.value);
      }
    }
    if (values.empty()) {
      continue;
    }
    call->metadata.emplace_back(name, absl::StrJoin(values, ", "));  // RFC 9110 §5.3
    if (auto problem = CheckIsUtf8(name, call->metadata.back().second)) {
      return problem;
    }
  }
  return std::nullopt;
}

}  // namespace

std::variant<PostedCall, Problem> ParsePostedCall(const httplib::Request& request, const RequestHead& head,
                                                  const CallRules& rules) {
  auto read = ReadQuery(request, {"timeout", "on_disconnect", "lastEventId", "last_event_id"});
  if (auto* problem = std::get_if<Problem>(&read)) {
    return std::move(*problem);
  }
  auto& query = std::get<Query>(read);
  PostedCall posted;
  calls::CallRequest& call = posted.call;
  call.timeout = rules.max_duration;
  if (query.contains("timeout")) {
    if (auto problem = ReadTimeout(query["timeout"], &call.timeout)) {
      return *std::move(problem);
    }
  }
  if (query.contains("on_disconnect")) {
    if (auto problem = ReadOnDisconnect(query["on_disconnect"], &call.on_disconnect)) {
      return *std::move(problem);
    }
  }
  if (auto problem = ReadKey(request, &call.idempotency_key)) {
    return *std::move(problem);
  }
  posted.last_event_id = LastEventIdOf(request, query);
  if (!posted.last_event_id.empty() && call.idempotency_key.empty()) {
    return Problem{.detail =
                       "a POST with Last-Event-ID goes on with an answer, and needs the Idempotency-Key of the "
                       "call; without one it would be another call",
                   .parameter = kKey,
                   .example = kKeyExample};
  }
  call.is_async = Prefers(request, "respond-async");
  call.content_type = request.get_header_value("Content-Type");
  if (auto problem = CheckIsUtf8("Content-Type", call.content_type)) {
    return *std::move(problem);
  }
  if (auto problem = ReadMetadata(head, rules, &call)) {
    return *std::move(problem);
  }
  return posted;
}

std::optional<Problem> CheckIsSecret(absl::string_view idempotency_key) {
  if (idempotency_key.empty() || idempotency_key.size() >= kSecretBytesMin) {
    return std::nullopt;
  }
  return Problem{.detail = absl::StrCat(kKey, ": without a token whoever knows it can read the answer; it must have ",
                                        kSecretBytesMin, " characters or more, and be hard to guess"),
                 .parameter = kKey,
                 .example = kKeyExample};
}

std::variant<std::string, Problem> ParseReadCall(const httplib::Request& request, const CallRules& rules) {
  std::vector<std::string> known = {"lastEventId", "last_event_id"};
  known.insert(known.end(), rules.other_parameters.begin(), rules.other_parameters.end());
  auto read = ReadQuery(request, std::move(known));
  if (auto* problem = std::get_if<Problem>(&read)) {
    return std::move(*problem);
  }
  return LastEventIdOf(request, std::get<Query>(read));
}

std::optional<Problem> CheckCancelCall(const httplib::Request& request) {
  auto read = ReadQuery(request, {});
  auto* const problem = std::get_if<Problem>(&read);
  return problem == nullptr ? std::nullopt : std::optional(std::move(*problem));
}

}  // namespace bridge::http
