#include "bridge/config/value_syntax.h"

#include <limits>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bridge::config {
namespace {

using ::testing::HasSubstr;

std::string ErrorOf(const absl::Status& status) { return std::string(status.message()); }

TEST(ValueSyntaxTest, ReadsDurations) {
  EXPECT_EQ(*ParseDuration("15s"), absl::Seconds(15));
  EXPECT_EQ(*ParseDuration("250ms"), absl::Milliseconds(250));
  EXPECT_EQ(*ParseDuration("2m"), absl::Minutes(2));
  EXPECT_EQ(*ParseDuration("1h30m"), absl::Minutes(90));
  EXPECT_EQ(*ParseDuration("1.5s"), absl::Milliseconds(1500));
  EXPECT_EQ(*ParseDuration("0s"), absl::ZeroDuration());
}

TEST(ValueSyntaxTest, DurationsWithoutAUnitSayWhichToAdd) {
  EXPECT_THAT(ErrorOf(ParseDuration("15").status()), HasSubstr("add a unit, as in 15s"));
  EXPECT_THAT(ErrorOf(ParseDuration("0").status()), HasSubstr("add a unit, as in 0s"));
}

TEST(ValueSyntaxTest, RefusesWhatIsNoDuration) {
  for (const char* text :
       {"", "s", "15 s", "15S", "1d", "inf", "-inf", "+1s", "1h-5m", "15s ", " 15s", "soon", "1e3s", "0x1s", "1..5s"}) {
    EXPECT_FALSE(ParseDuration(text).ok()) << text;
  }
  EXPECT_THAT(ErrorOf(ParseDuration("-1s").status()), HasSubstr("negative"));
  EXPECT_THAT(ErrorOf(ParseDuration("1s30").status()), HasSubstr("15s, 250ms, 2m, 1h or 1h30m"));
  for (const char* text : {"87660001h", "9999999999999999999999999999999999999h", "9223372036854775807h"}) {
    EXPECT_FALSE(ParseDuration(text).ok()) << text;
  }
}

TEST(ValueSyntaxTest, ReadsSizes) {
  EXPECT_EQ(*ParseSize("64MiB"), uint64_t{64} << 20);
  EXPECT_EQ(*ParseSize("512KiB"), uint64_t{512} << 10);
  EXPECT_EQ(*ParseSize("1GiB"), uint64_t{1} << 30);
  EXPECT_EQ(*ParseSize("2TiB"), uint64_t{2} << 40);
  EXPECT_EQ(*ParseSize("1000"), 1000U);
  EXPECT_EQ(*ParseSize("18446744073709551615"), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(*ParseSize("16777215TiB"), uint64_t{16777215} << 40);
}

TEST(ValueSyntaxTest, RefusesWhatIsNoSize) {
  for (const char* text :
       {"", "MiB", "64MB", "64M", "64mib", "64 MiB", "1.5GiB", "-1", "+1", "0x10", "1e6", "100,000", "64MiBs"}) {
    EXPECT_THAT(ErrorOf(ParseSize(text).status()), HasSubstr("64MiB, 512KiB, 1GiB")) << text;
  }
  for (const char* text : {"16777216TiB", "18446744073709551616", "99999999999999999999GiB"}) {
    EXPECT_THAT(ErrorOf(ParseSize(text).status()), HasSubstr("too large")) << text;
  }
}

TEST(ValueSyntaxTest, ReadsCountsUpToTheirLargest) {
  EXPECT_EQ(*ParseCount("0", 10), 0U);
  EXPECT_EQ(*ParseCount("10", 10), 10U);
  EXPECT_EQ(*ParseCount("007", 10), 7U);
  EXPECT_THAT(ErrorOf(ParseCount("11", 10).status()), HasSubstr("the largest value is 10"));
  EXPECT_THAT(ErrorOf(ParseCount("99999999999999999999", 10).status()), HasSubstr("the largest value is 10"));
  for (const char* text : {"", "-1", "+1", " 1", "1 ", "1.0", "1e3", "0x1", "1,000", "many"}) {
    EXPECT_THAT(ErrorOf(ParseCount(text, 10).status()), HasSubstr("digits only")) << text;
  }
}

TEST(ValueSyntaxTest, FormatSizeIsReadBackUnchanged) {
  EXPECT_EQ(FormatSize(0), "0");
  EXPECT_EQ(FormatSize(1000), "1000");
  EXPECT_EQ(FormatSize(uint64_t{64} << 20), "64MiB");
  EXPECT_EQ(FormatSize((uint64_t{1} << 20) + 1024), "1025KiB");
  EXPECT_EQ(*ParseSize(FormatSize(std::numeric_limits<uint64_t>::max())), std::numeric_limits<uint64_t>::max());
}

TEST(ValueSyntaxTest, DurationsSurviveTheProto) {
  for (const char* text : {"0s", "1ns", "999ms", "1h30m0.000000001s", "87660000h"}) {
    EXPECT_EQ(FromProto(ToProto(*ParseDuration(text))), *ParseDuration(text)) << text;
  }
}

}  // namespace
}  // namespace bridge::config
