#include "bridge/base/utf8.h"

#include <string>

#include <gtest/gtest.h>

namespace bridge::base {
namespace {

TEST(Utf8Test, AcceptsEachLength) {
  EXPECT_TRUE(IsUtf8(""));
  EXPECT_TRUE(IsUtf8("plain"));
  EXPECT_TRUE(IsUtf8(std::string(1, '\0')));
  EXPECT_TRUE(IsUtf8("\xC2\x80 \xDF\xBF"));
  EXPECT_TRUE(IsUtf8("\xE0\xA0\x80 \xED\x9F\xBF \xEE\x80\x80 \xEF\xBF\xBF"));
  EXPECT_TRUE(IsUtf8("\xF0\x90\x80\x80 \xF4\x8F\xBF\xBF"));
}

TEST(Utf8Test, RefusesWhatIsIllFormed) {
  for (const char* text : {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
                           "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xC3", "\xC3(", "\xE2\x82", "\xE2\x82(",
                           "\xF0\x9F\x98", "\xF0\x9F\x98(", "fine\xFF"}) {
    EXPECT_FALSE(IsUtf8(text)) << text;
  }
}

TEST(Utf8Test, SequenceBytesStopsAtTheFirstSequence) {
  EXPECT_EQ(Utf8SequenceBytes(""), 0U);
  EXPECT_EQ(Utf8SequenceBytes("ab"), 1U);
  EXPECT_EQ(Utf8SequenceBytes("\xE2\x82\xAC-"), 3U);
  EXPECT_EQ(Utf8SequenceBytes("\xE2\x82"), 0U);
}

}  // namespace
}  // namespace bridge::base
