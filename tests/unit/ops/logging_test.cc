#include "bridge/ops/logging.h"

#include <cstdint>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace bridge::ops {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::internal::CaptureStderr;
using ::testing::internal::GetCapturedStderr;

// What tries to end its value, forge a line, or drive the operator's terminal.
const std::vector<std::string> kHostileValues = {
    "a\nb",
    "a\r\nb",
    "\n2026-01-02T03:04:05.678Z error forged key=value",
    "\x1b[2J\x1b]0;title\x07",
    "quote\" event=forged",
    "back\\",
    "back\\\" forged=1",
    "a=b c=d",
    R"(","level":"error)",
    "{\"json\":true}",
    std::string("nul\0byte", 8),
    "\xC2\x9B"
    "31m",            // a C1 control, which some terminals obey
    "\xE2\x80\xAE"    // NOLINT(misc-misleading-bidirectional): it is there to mislead
    "right to left",  // and an override of the direction
    "\xE2\x80\xA8 line separator",
    "\xFF\xFE invalid \xC3",
    "",
    " ",
    std::string(100'000, '\n'),
};

class LoggingTest : public ::testing::Test {
 protected:
  // The line that `log` writes, without its end.
  template <typename Call>
  std::string LineOf(LogFormat format, Call log) {
    InitLogging({.level = LogLevel::kDebug, .format = format});
    CaptureStderr();
    log();
    const std::string written = GetCapturedStderr();
    EXPECT_THAT(written, EndsWith("\n"));
    EXPECT_EQ(std::count(written.begin(), written.end(), '\n'), 1) << written;
    return written.substr(0, written.size() - 1);
  }

  static google::protobuf::Struct Parsed(const std::string& line) {
    google::protobuf::Struct object;
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(line, &object).ok()) << line;
    return object;
  }
};

TEST_F(LoggingTest, ATextLineIsTimeLevelEventAndPairs) {
  const std::string line = LineOf(
      LogFormat::kText, [] { LogInfo("listening", {{"address", "127.0.0.1:8080"}, {"port", 8080}, {"tls", false}}); });
  EXPECT_THAT(line, ::testing::MatchesRegex(
                        "20..-..-..T..:..:..\\....Z info listening address=127\\.0\\.0\\.1:8080 port=8080 tls=false"));
  EXPECT_THAT(LineOf(LogFormat::kText, [] { LogWarn("slow"); }), EndsWith(" warn slow"));
  EXPECT_THAT(LineOf(LogFormat::kText, [] { LogError("failed"); }), EndsWith(" error failed"));
  EXPECT_THAT(LineOf(LogFormat::kText, [] { LogDebug("seen"); }), EndsWith(" debug seen"));
}

TEST_F(LoggingTest, EveryKindOfValueIsShown) {
  const std::string text = "std::string";
  const auto log = [&] {
    LogInfo("kinds", {{"a", text},
                      {"b", std::string_view("view")},
                      {"c", absl::string_view("view")},
                      {"d", int16_t{-1}},
                      {"e", std::numeric_limits<uint64_t>::max()},
                      {"f", std::numeric_limits<int64_t>::min()},
                      {"g", 0.5},
                      {"h", size_t{7}},
                      {"i", true}});
  };
  EXPECT_THAT(LineOf(LogFormat::kText, log),
              EndsWith(" info kinds a=std::string b=view c=view d=-1 e=18446744073709551615 f=-9223372036854775808 "
                       "g=0.5 h=7 i=true"));
  EXPECT_THAT(
      LineOf(LogFormat::kJson, log),
      ::testing::StartsWith(
          "{\"a\":\"std::string\",\"b\":\"view\",\"c\":\"view\",\"d\":-1,\"e\":\"18446744073709551615\","
          "\"event\":\"kinds\",\"f\":\"-9223372036854775808\",\"g\":0.5,\"h\":7,\"i\":true,\"level\":\"info\","));
}

TEST_F(LoggingTest, TextValuesThatNeedItAreQuoted) {
  const auto shown = [this](const std::string& value) {
    const std::string line = LineOf(LogFormat::kText, [&] { LogInfo("e", {{"k", value}}); });
    return line.substr(line.find("k=") + 2);
  };
  EXPECT_EQ(shown("plain/[::1]:80?x"), "plain/[::1]:80?x");
  EXPECT_EQ(shown("two words"), "\"two words\"");
  EXPECT_EQ(shown(""), "\"\"");
  EXPECT_EQ(shown("a=b"), "\"a=b\"");
  EXPECT_EQ(shown("a\r\n\"b\"\\"), R"("a\r\n\"b\"\\")");
  EXPECT_EQ(shown("\x1b[31m"), R"("\x1b[31m")");
  EXPECT_EQ(shown("\xC3\xA9"), R"("\xc3\xa9")");
}

TEST_F(LoggingTest, NoValueCanForgeATextLine) {
  for (const std::string& value : kHostileValues) {
    const std::string line = LineOf(LogFormat::kText, [&] { LogInfo("event", {{"value", value}, {"last", 1}}); });
    for (const char c : line) {
      ASSERT_TRUE(absl::ascii_isprint(static_cast<unsigned char>(c))) << line;
    }
    EXPECT_THAT(line, HasSubstr(" info event value="));
    EXPECT_THAT(line, EndsWith("\" last=1")) << line;
    // Between its quotes, the value has none that is not escaped.
    const size_t start = line.find("value=\"") + 7;
    const std::string inner = line.substr(start, line.size() - std::string("\" last=1").size() - start);
    for (size_t i = 0; i < inner.size(); ++i) {
      ASSERT_NE(inner[i], '"') << line;
      i += inner[i] == '\\' ? size_t{1} : size_t{0};
    }
    EXPECT_LT(line.size(), 5000U);
  }
}

TEST_F(LoggingTest, NoValueCanForgeAJsonLine) {
  for (const std::string& value : kHostileValues) {
    const std::string line = LineOf(LogFormat::kJson, [&] { LogInfo("event", {{"value", value}}); });
    const google::protobuf::Struct object = Parsed(line);
    EXPECT_EQ(object.fields().size(), 4U) << line;
    EXPECT_EQ(object.fields().at("event").string_value(), "event");
    EXPECT_EQ(object.fields().at("level").string_value(), "info");
    EXPECT_LT(line.size(), 8000U);
    for (const char c : line) {
      ASSERT_FALSE(absl::ascii_iscntrl(static_cast<unsigned char>(c))) << line;
    }
  }
}

TEST_F(LoggingTest, AJsonValueIsReadBackUnchanged) {
  const std::string value = "a\r\n\"\\\x1b \xC3\xA9 \xE2\x80\xA8";
  const std::string line = LineOf(LogFormat::kJson, [&] { LogInfo("event", {{"value", value}}); });
  EXPECT_EQ(Parsed(line).fields().at("value").string_value(), value);
}

TEST_F(LoggingTest, BytesThatAreNoUtf8AreReplacedInJson) {
  const std::string line = LineOf(LogFormat::kJson, [] { LogInfo("event", {{"value", "a\xFF\xC3(\xE2\x82"}}); });
  EXPECT_EQ(Parsed(line).fields().at("value").string_value(), "a\xEF\xBF\xBD\xEF\xBF\xBD(\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST_F(LoggingTest, LongValuesAreShortenedAndSayHowLongTheyWere) {
  const std::string value(5000, 'x');
  const std::string line = LineOf(LogFormat::kText, [&] { LogInfo("event", {{"value", value}}); });
  EXPECT_THAT(line, EndsWith("x...(5000 bytes)\""));
  EXPECT_LT(line.size(), 1200U);
}

TEST_F(LoggingTest, LinesBelowTheLevelAreLeftOut) {
  InitLogging({.level = LogLevel::kWarn});
  CaptureStderr();
  LogDebug("debug");
  LogInfo("info");
  LogWarn("warn");
  LogError("error");
  const std::string written = GetCapturedStderr();
  EXPECT_THAT(written, ::testing::AllOf(HasSubstr(" warn warn\n"), HasSubstr(" error error\n")));
  EXPECT_THAT(written, ::testing::Not(HasSubstr("info")));
  EXPECT_THAT(written, ::testing::Not(HasSubstr("debug")));
}

TEST_F(LoggingTest, LinesOfManyThreadsStayWhole) {
  InitLogging({.level = LogLevel::kInfo});
  CaptureStderr();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 250; ++i) {
        LogInfo("whole", {{"thread", t}, {"line", i}, {"end", "end"}});
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  const std::string written = GetCapturedStderr();
  const std::vector<std::string> lines = absl::StrSplit(written, '\n', absl::SkipEmpty());
  EXPECT_EQ(lines.size(), 1000U);
  for (const std::string& line : lines) {
    ASSERT_THAT(line, ::testing::MatchesRegex("20.*Z info whole thread=[0-3] line=[0-9]+ end=end"));
  }
}

TEST_F(LoggingTest, WhatProtobufSaysIsALineAndLimited) {
  InitLogging({.level = LogLevel::kInfo});
  google::protobuf::Value invalid;
  invalid.set_string_value("\xFF");
  CaptureStderr();
  for (int i = 0; i < 100; ++i) {
    EXPECT_FALSE(invalid.SerializeAsString().empty());
  }
  const std::string written = GetCapturedStderr();
  EXPECT_THAT(written, HasSubstr("Z warn protobuf message=\""));
  EXPECT_EQ(std::count(written.begin(), written.end(), '\n'), 1) << written;
}

}  // namespace
}  // namespace bridge::ops
