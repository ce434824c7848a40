#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <variant>

#include "absl/strings/string_view.h"

namespace bridge::ops {

// The bridge's own log: one line an event on standard error, for the operator. Thread-safe.
//
//   ops::LogInfo("listening", {{"address", address}, {"port", port}});
//
//   text  2026-01-02T03:04:05.678Z info listening address=127.0.0.1 port=8080
//   json  {"address":"127.0.0.1","event":"listening","level":"info","port":8080,"time":"2026-01-02T03:04:05.678Z"}
//
// Whatever bytes a value has, it stays one value of one line: in text, a value that is not plain printable ASCII stands
// in quotes, escaped as in C; in JSON, bytes that are no UTF-8 become U+FFFD. Of a value 1 KiB is shown. Never pass a
// token or a payload.

enum class LogLevel : uint8_t { kDebug, kInfo, kWarn, kError };
enum class LogFormat : uint8_t { kText, kJson };

struct LogOptions {
  // The least level that is written.
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kText;
};

// Sets how lines are written from now on; before the first call as by LogOptions' defaults. What protobuf has to say
// comes as lines too.
void InitLogging(const LogOptions& options);

// A value of a line: text, a number or a truth. Borrows text.
class LogValue {
 public:
  // NOLINTBEGIN(misc-explicit-constructor): a field is written {"key", value}
  LogValue(const char* text) : value_(absl::string_view(text)) {}
  template <typename Text>  // any kind of string or string_view
    requires requires(const Text& text) { absl::string_view(text.data(), text.size()); }
  LogValue(const Text& text) : value_(absl::string_view(text.data(), text.size())) {}
  LogValue(std::same_as<bool> auto truth) : value_(truth) {}
  LogValue(std::signed_integral auto number) : value_(int64_t{number}) {}
  template <std::unsigned_integral Number>
    requires(!std::same_as<Number, bool>)
  LogValue(Number number) : value_(uint64_t{number}) {}
  LogValue(std::floating_point auto number) : value_(double{number}) {}
  // NOLINTEND(misc-explicit-constructor)

  const std::variant<absl::string_view, bool, int64_t, uint64_t, double>& value() const { return value_; }

 private:
  std::variant<absl::string_view, bool, int64_t, uint64_t, double> value_;
};

// A key=value pair of a line. The key is a name of our own, [a-z_]+, and none of time, level and event.
struct LogField {
  absl::string_view key;
  LogValue value;
};

// Writes a line. `event` is a name of our own, [a-z_]+: lines are found by it.
void Log(LogLevel level, absl::string_view event, std::initializer_list<LogField> fields = {});

inline void LogDebug(absl::string_view event, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kDebug, event, fields);
}
inline void LogInfo(absl::string_view event, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kInfo, event, fields);
}
inline void LogWarn(absl::string_view event, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kWarn, event, fields);
}
inline void LogError(absl::string_view event, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kError, event, fields);
}

}  // namespace bridge::ops
