#include "bridge/base/shown.h"

#include <string>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace bridge::base {
namespace {

TEST(ShownTest, PlainTextIsShownAsItIs) {
  EXPECT_EQ(Shown("", 10), "");
  EXPECT_EQ(Shown("orders.eu", 9), "orders.eu");
}

TEST(ShownTest, OnlyPrintableAsciiIsLeft) {
  EXPECT_EQ(Shown(absl::string_view("a\r\n\0\"\\\x1b[2J", 10), 10), R"(a\r\n\x00\"\\\x1b[2J)");
  EXPECT_EQ(Shown("\xC3\xA4\xFF", 10), R"(\xc3\xa4\xff)");
}

TEST(ShownTest, LongTextIsCutBeforeItIsEscaped) {
  EXPECT_EQ(Shown("abcdef", 5), "abcde...");
  EXPECT_EQ(Shown("\n\n\n", 2), R"(\n\n...)");
}

TEST(ShownTest, QuotesStandAroundAllOfIt) {
  EXPECT_EQ(Quoted("a\"b"), R"("a\"b")");
  EXPECT_EQ(Quoted("abc", 2), R"("ab...")");
  EXPECT_EQ(Quoted(std::string(10'000, 'x')), absl::StrCat("\"", std::string(100, 'x'), "...\""));
}

}  // namespace
}  // namespace bridge::base
