#include "bridge/http/subscribe_request.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"

#include "bridge/base/shown.h"
#include "bridge/http/json_body.h"
#include "bridge/http/v1/http.pb.h"
#include "bridge/topic/event_type.h"
#include "bridge/topic/pattern.h"

namespace bridge::http {
namespace {

constexpr absl::string_view kQueryExample = "/events?topic=orders.*&topic=alerts.>";
constexpr absl::string_view kBodyExample = R"({"topics": ["orders.*", "alerts.>"]})";
constexpr size_t kParameterShownMax = 100;

// What a client asked for, in either form, as text.
struct Raw {
  std::vector<std::string> topics;
  std::vector<std::string> types;
  std::string last_event_id;
  std::optional<std::string> replay;
  std::string heartbeat;
  // How the fields are called there.
  std::string topics_name = "topic";
  std::string types_name = "type";
  absl::string_view example = kQueryExample;
  absl::string_view types_example = "type=update";
};

Problem UnknownParameter(const std::string& name, const SubscribeRules& rules) {
  std::vector<std::string> known = {"topic", "type", "lastEventId", "last_event_id", "replay", "heartbeat"};
  known.insert(known.end(), rules.other_parameters.begin(), rules.other_parameters.end());
  return {.detail = absl::StrCat("the query parameter ", base::Quoted(name), " is not known; known are ",
                                 absl::StrJoin(known, ", ")),
          .parameter = base::Shown(name, kParameterShownMax),
          .example = std::string(kQueryExample)};
}

std::variant<Raw, Problem> ReadQuery(const httplib::Request& request, const SubscribeRules& rules) {
  Raw raw;
  std::string id_of_polyfill;  // lastEventId, which wins over last_event_id
  std::string id;
  const auto set_once = [](std::string* field, bool* is_set, const std::string& value) {
    *field = value;
    return !std::exchange(*is_set, true);
  };
  bool has_id = false;
  bool has_id_of_polyfill = false;
  bool has_replay = false;
  bool has_heartbeat = false;
  for (const auto& [name, value] : request.params) {
    bool is_first = true;
    if (name == "topic") {
      raw.topics.push_back(value);
    } else if (name == "type") {
      raw.types.push_back(value);
    } else if (name == "lastEventId") {
      is_first = set_once(&id_of_polyfill, &has_id_of_polyfill, value);
    } else if (name == "last_event_id") {
      is_first = set_once(&id, &has_id, value);
    } else if (name == "replay") {
      is_first = set_once(&raw.replay.emplace(), &has_replay, value);
    } else if (name == "heartbeat") {
      is_first = set_once(&raw.heartbeat, &has_heartbeat, value);
    } else if (std::find(rules.other_parameters.begin(), rules.other_parameters.end(), name) ==
               rules.other_parameters.end()) {
      return UnknownParameter(name, rules);
    }
    if (!is_first) {
      return Problem{.detail = absl::StrCat("the query parameter ", name, " is given more than once"),
                     .parameter = name,
                     .example = std::string(kQueryExample)};
    }
  }
  raw.last_event_id = id_of_polyfill.empty() ? id : id_of_polyfill;
  return raw;
}

std::variant<Raw, Problem> ReadBody(const httplib::Request& request, const std::string& text) {
  if (auto problem = CheckIsJson(request)) {
    return *std::move(problem);
  }
  if (!request.params.empty()) {
    const std::string& name = request.params.begin()->first;
    return Problem{.detail = absl::StrCat("the query parameter ", base::Quoted(name),
                                          " is not read: a POST says everything in its body"),
                   .parameter = base::Shown(name, kParameterShownMax),
                   .example = std::string(kBodyExample)};
  }
  v1::SubscribeRequest body;
  if (auto problem = ReadJsonBody(text, "a subscription", kBodyExample, &body)) {
    return *std::move(problem);
  }
  Raw raw{.topics = {body.topics().begin(), body.topics().end()},
          .types = {body.types().begin(), body.types().end()},
          .last_event_id = body.last_event_id(),
          .replay = std::nullopt,
          .heartbeat = body.heartbeat(),
          .topics_name = "topics",
          .types_name = "types",
          .example = kBodyExample,
          .types_example = R"({"topics": ["orders.*"], "types": ["update"]})"};
  switch (body.replay().kind_case()) {
    case google::protobuf::Value::KIND_NOT_SET:
    case google::protobuf::Value::kNullValue:
      break;
    case google::protobuf::Value::kStringValue:
      raw.replay = body.replay().string_value();
      break;
    case google::protobuf::Value::kNumberValue: {
      const double number = body.replay().number_value();
      constexpr double kExactMax = 9007199254740992.0;  // 2^53
      const bool is_whole = number >= 0 && number <= kExactMax && std::floor(number) == number;
      raw.replay = is_whole ? absl::StrCat(static_cast<uint64_t>(number)) : absl::StrCat(number);
      break;
    }
    default:
      raw.replay = "neither a number nor a string";
      break;
  }
  return raw;
}

std::optional<Problem> ReadReplay(const Raw& raw, hub::Start* start) {
  if (!raw.last_event_id.empty() || !raw.replay) {
    return std::nullopt;
  }
  const bool is_number = !raw.replay->empty() && raw.replay->find_first_not_of("0123456789") == std::string::npos;
  if (*raw.replay == "all") {
    start->kind = hub::Start::Kind::kReplayAll;
  } else if (is_number && absl::SimpleAtoi(*raw.replay, &start->count)) {
    start->kind = hub::Start::Kind::kReplayLast;
  } else {
    return Problem{.detail = absl::StrCat("replay ", base::Quoted(*raw.replay), ": must be a whole number or \"all\""),
                   .parameter = "replay",
                   .example = "replay=100"};
  }
  return std::nullopt;
}

std::optional<Problem> ReadSelection(const Raw& raw, const SubscribeRules& rules, hub::Selection* selection) {
  if (raw.topics.empty()) {
    return Problem{.detail = absl::StrCat("no topic is asked for; give at least one ", raw.topics_name),
                   .parameter = raw.topics_name,
                   .example = std::string(raw.example)};
  }
  if (raw.topics.size() > rules.topics_max || raw.types.size() > rules.topics_max) {
    const bool is_topics = raw.topics.size() > rules.topics_max;
    return Problem{.detail = absl::StrCat(is_topics ? raw.topics.size() : raw.types.size(),
                                          " values are more than http.max_topics, ", rules.topics_max,
                                          "; a pattern such as orders.> stands for many topics"),
                   .parameter = is_topics ? raw.topics_name : raw.types_name,
                   .example = std::string(raw.example)};
  }
  for (const std::string& text : raw.topics) {
    auto pattern = topic::Pattern::Parse(text);
    if (!pattern.ok()) {
      return Problem{.detail = std::string(pattern.status().message()),
                     .parameter = raw.topics_name,
                     .example = std::string(raw.example)};
    }
    selection->patterns.push_back(*std::move(pattern));
  }
  for (const std::string& type : raw.types) {
    if (type.empty() || type.size() > topic::kTypeBytesMax ||
        absl::string_view(type).find_first_of(absl::string_view("\r\n\0", 3)) != absl::string_view::npos) {
      return Problem{.detail = absl::StrCat("type ", base::Quoted(type), ": must have 1 to ", topic::kTypeBytesMax,
                                            " bytes, and no CR, LF or NUL"),
                     .parameter = raw.types_name,
                     .example = std::string(raw.types_example)};
    }
    selection->types.push_back(type);
  }
  return std::nullopt;
}

}  // namespace

std::variant<SubscribeRequest, Problem> ParseSubscribeRequest(const httplib::Request& request, const std::string& body,
                                                              const SubscribeRules& rules) {
  auto read = request.method == "POST" ? ReadBody(request, body) : ReadQuery(request, rules);
  if (auto* problem = std::get_if<Problem>(&read)) {
    return std::move(*problem);
  }
  Raw& raw = std::get<Raw>(read);
  if (const std::string header = request.get_header_value("Last-Event-ID"); !header.empty()) {
    raw.last_event_id = header;
  }

  SubscribeRequest result;
  result.selection.framing = request.version == "HTTP/1.0" ? hub::Framing::kPlain : hub::Framing::kChunked;
  if (auto problem = ReadSelection(raw, rules, &result.selection)) {
    return *std::move(problem);
  }
  if (!raw.last_event_id.empty()) {
    result.start = {.kind = hub::Start::Kind::kAfterId, .id = raw.last_event_id};
  }
  if (auto problem = ReadReplay(raw, &result.start)) {
    return *std::move(problem);
  }
  if (!raw.heartbeat.empty() && raw.heartbeat != "event" && raw.heartbeat != "comment") {
    return Problem{
        .detail = absl::StrCat("heartbeat ", base::Quoted(raw.heartbeat), R"(: must be "event" or "comment")"),
        .parameter = "heartbeat",
        .example = "heartbeat=event"};
  }
  result.wants_heartbeat_events = raw.heartbeat == "event";
  return result;
}

}  // namespace bridge::http
