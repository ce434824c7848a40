#include "bridge/hub/topic_table.h"

#include <malloc.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/bridge_process.h"

namespace bridge::hub {
namespace {

using ::testing::ElementsAre;

class TopicTableTest : public ::testing::Test {
 protected:
  uint32_t NumberOf(absl::string_view name) { return table_.NumberOf(base::RefCountedString(name)); }

  TopicTable table_;
};

TEST_F(TopicTableTest, FindsATopicByItsNameAndItsNumber) {
  const uint32_t a = NumberOf("a");
  const uint32_t b = NumberOf("b");
  EXPECT_NE(a, b);
  EXPECT_EQ(NumberOf("a"), a);
  EXPECT_EQ(table_.size(), 2U);
  table_[b].postings.Append(7);
  EXPECT_EQ(table_[b].name.view(), "b");
  ASSERT_NE(table_.Find("b"), nullptr);
  EXPECT_EQ(table_.Find("b")->postings[0], 7U);
  EXPECT_EQ(table_.Find("c"), nullptr);
}

TEST_F(TopicTableTest, GivesTheLowestNumberOutAgain) {
  std::vector<uint32_t> numbers;
  for (const absl::string_view name : {"a", "b", "c", "d"}) {
    numbers.push_back(NumberOf(name));
  }
  EXPECT_THAT(numbers, ElementsAre(0, 1, 2, 3));
  table_[2].postings.Append(7);
  table_.Erase(2);
  table_.Erase(1);
  EXPECT_EQ(table_.Find("b"), nullptr);
  EXPECT_EQ(NumberOf("e"), 1U);
  EXPECT_EQ(NumberOf("f"), 2U);
  EXPECT_TRUE(table_[2].postings.empty()) << "nothing is left of the topic that had the number";
  EXPECT_EQ(NumberOf("g"), 4U);
  table_.Erase(3);
  table_.Erase(4);
  EXPECT_EQ(NumberOf("h"), 3U);
  table_.Clear();
  EXPECT_EQ(table_.size(), 0U);
  EXPECT_EQ(table_.Find("a"), nullptr);
  EXPECT_EQ(NumberOf("i"), 0U);
}

TEST_F(TopicTableTest, GivesBackWhatABurstHasTaken) {
  if (!test::CanMeasureMemory()) {
    GTEST_SKIP() << "a sanitizer's allocator says nothing about memory";
  }
  constexpr uint32_t kTopics = 100'000;
  NumberOf("a");
  const size_t before = mallinfo2().uordblks;
  for (uint32_t i = 1; i <= kTopics; ++i) {
    ASSERT_EQ(NumberOf(absl::StrCat("topic.", i)), i);
  }
  for (uint32_t i = 1; i <= kTopics; ++i) {
    table_.Erase(i);
  }
  EXPECT_EQ(table_.size(), 1U);
  EXPECT_LT(mallinfo2().uordblks, before + size_t{2} * kTopics);
}

}  // namespace
}  // namespace bridge::hub
