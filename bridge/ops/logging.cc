#include "bridge/ops/logging.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cstddef>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/type_resolver.h>
#include <google/protobuf/util/type_resolver_util.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "bridge/base/utf8.h"
#include "bridge/ops/log_limiter.h"

namespace bridge::ops {
namespace {

// Values may be a stranger's: a line stays readable.
constexpr size_t kValueBytesMax = 1024;
// Integers beyond this are not exact as JSON numbers (RFC 8259 §6).
constexpr int64_t kExactIntegerMax = int64_t{1} << 53;

constexpr absl::string_view NameOf(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarn:
      return "warn";
    case LogLevel::kError:
      return "error";
  }
  return "";
}

spdlog::level::level_enum SpdlogLevel(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::off;
}

// The process's one log, as standard error is. Never destroyed, so that destructors at the end of the process may still
// log.
struct Output {
  Output() { logger.set_pattern("%v"); }

  spdlog::logger logger{"bridge", std::make_shared<spdlog::sinks::stderr_sink_mt>()};
  std::atomic<LogFormat> format{LogFormat::kText};
};

Output& TheOutput() {
  static auto* const output = new Output;
  return *output;
}

std::string Timestamp(absl::Time time) { return absl::FormatTime("%Y-%m-%d%ET%H:%M:%E3SZ", time, absl::UTCTimeZone()); }

// `text` as a text line shows it: plain where that cannot be mistaken, else quoted and escaped, all but printable
// ASCII.
std::string QuoteIfNeeded(absl::string_view text) {
  const bool is_plain = !text.empty() && std::ranges::all_of(text, [](char c) {
    return absl::ascii_isgraph(static_cast<unsigned char>(c)) && c != '"' && c != '\\' && c != '=';
  });
  return is_plain ? std::string(text) : absl::StrCat("\"", absl::CHexEscape(text), "\"");
}

std::string Shortened(absl::string_view text) {
  return text.size() <= kValueBytesMax ? std::string(text)
                                       : absl::StrCat(text.substr(0, kValueBytesMax), "...(", text.size(), " bytes)");
}

std::string TextLine(absl::Time time, LogLevel level, absl::string_view event, std::initializer_list<LogField> fields) {
  std::string line = absl::StrCat(Timestamp(time), " ", NameOf(level), " ", event);
  for (const LogField& field : fields) {
    absl::StrAppend(&line, " ", field.key, "=");
    std::visit(
        [&line]<typename T>(T value) {
          if constexpr (std::is_same_v<T, absl::string_view>) {
            absl::StrAppend(&line, QuoteIfNeeded(Shortened(value)));
          } else if constexpr (std::is_same_v<T, bool>) {
            absl::StrAppend(&line, value ? "true" : "false");
          } else {
            absl::StrAppend(&line, value);
          }
        },
        field.value.value());
  }
  return line;
}

// `text` with each byte that belongs to no well-formed sequence replaced by U+FFFD.
std::string ToUtf8(absl::string_view text) {
  std::string utf8;
  while (!text.empty()) {
    const size_t bytes = base::Utf8SequenceBytes(text);
    absl::StrAppend(&utf8, bytes == 0 ? absl::string_view("\xEF\xBF\xBD") : text.substr(0, bytes));
    text.remove_prefix(std::max<size_t>(bytes, 1));
  }
  return utf8;
}

google::protobuf::Value JsonValue(const LogValue& value) {
  google::protobuf::Value json;
  std::visit(
      [&json]<typename T>(T held) {
        if constexpr (std::is_same_v<T, absl::string_view>) {
          json.set_string_value(ToUtf8(Shortened(held)));
        } else if constexpr (std::is_same_v<T, bool>) {
          json.set_bool_value(held);
        } else if constexpr (std::is_integral_v<T>) {
          if (std::cmp_greater(held, kExactIntegerMax) || std::cmp_less(held, -kExactIntegerMax)) {
            json.set_string_value(absl::StrCat(held));
          } else {
            json.set_number_value(static_cast<double>(held));
          }
        } else {
          json.set_number_value(held);
        }
      },
      value.value());
  return json;
}

std::string JsonLine(absl::Time time, LogLevel level, absl::string_view event, std::initializer_list<LogField> fields) {
  static google::protobuf::util::TypeResolver* const resolver =
      google::protobuf::util::NewTypeResolverForDescriptorPool("type.googleapis.com",
                                                               google::protobuf::DescriptorPool::generated_pool());
  google::protobuf::Struct object;
  auto& members = *object.mutable_fields();
  for (const LogField& field : fields) {
    members[std::string(field.key)] = JsonValue(field.value);
  }
  members["time"].set_string_value(Timestamp(time));
  members["level"].set_string_value(std::string(NameOf(level)));
  members["event"].set_string_value(std::string(event));
  std::string wire;
  {
    google::protobuf::io::StringOutputStream stream(&wire);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);  // the members in order of their names
    object.SerializeToCodedStream(&coded);
  }
  std::string line;
  [[maybe_unused]] const auto status =
      google::protobuf::util::BinaryToJsonString(resolver, "type.googleapis.com/google.protobuf.Struct", wire, &line);
  assert(status.ok());
  return line;
}

// A stranger's bytes can make protobuf complain at any rate.
void LogProtobuf(google::protobuf::LogLevel level, const char* /*file*/, int /*line*/, const std::string& message) {
  static auto* const limiter = new LogLimiter(absl::Minutes(1));
  if (level < google::protobuf::LOGLEVEL_WARNING) {
    return;
  }
  if (const std::optional<uint64_t> suppressed = limiter->Admit()) {
    LogWarn("protobuf", {{"message", message}, {"suppressed", *suppressed}});
  }
}

}  // namespace

void InitLogging(const LogOptions& options) {
  TheOutput().logger.set_level(SpdlogLevel(options.level));
  TheOutput().format.store(options.format, std::memory_order_relaxed);
  google::protobuf::SetLogHandler(LogProtobuf);
}

void Log(LogLevel level, absl::string_view event, std::initializer_list<LogField> fields) {
  Output& output = TheOutput();
  if (!output.logger.should_log(SpdlogLevel(level))) {
    return;
  }
  const bool is_json = output.format.load(std::memory_order_relaxed) == LogFormat::kJson;
  const std::string line =
      is_json ? JsonLine(absl::Now(), level, event, fields) : TextLine(absl::Now(), level, event, fields);
  output.logger.log(SpdlogLevel(level), spdlog::string_view_t(line));
}

}  // namespace bridge::ops
