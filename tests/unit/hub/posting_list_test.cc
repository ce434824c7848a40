#include "bridge/hub/posting_list.h"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bridge::hub {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr uint64_t kFar = uint64_t{1} << 40;
constexpr uint64_t kReach = uint64_t{1} << 32;

std::vector<uint64_t> AllOf(const PostingList& list) {
  std::vector<uint64_t> all;
  for (size_t i = 0; i < list.size(); ++i) {
    all.push_back(list[i]);
  }
  return all;
}

TEST(PostingList, HoldsIndexesHoweverFarTheRingHasCome) {
  PostingList list;
  for (const uint64_t index : {kFar, kFar + 1, kFar + kReach - 1}) {
    list.Append(index);
  }
  EXPECT_THAT(AllOf(list), ElementsAre(kFar, kFar + 1, kFar + kReach - 1));
  EXPECT_EQ(list.LowerBound(0), 0U);
  EXPECT_EQ(list.LowerBound(kFar), 0U);
  EXPECT_EQ(list.LowerBound(kFar + 2), 2U);
  EXPECT_EQ(list.LowerBound(kFar + 2 * kReach), 3U);
}

TEST(PostingList, OfATopicThatNeverPausesGoesOnPastThirtyTwoBits) {
  PostingList list;
  uint64_t last = kFar;
  list.Append(last);
  for (int step = 0; step < 20; ++step) {
    const uint64_t next = last + kReach / 3;
    list.Append(next);
    EXPECT_THAT(AllOf(list), ElementsAre(last, next));
    list.TrimBelow(next);
    EXPECT_THAT(AllOf(list), ElementsAre(next));
    EXPECT_EQ(list.LowerBound(last), 0U);
    EXPECT_EQ(list.LowerBound(next + 1), 1U);
    last = next;
  }
}

TEST(PostingList, BeginsAnewWhereAllHasBeenForgotten) {
  PostingList list;
  list.Append(1);
  list.TrimBelow(kFar);
  EXPECT_THAT(AllOf(list), IsEmpty());
  list.Append(kFar + kReach);
  EXPECT_THAT(AllOf(list), ElementsAre(kFar + kReach));
}

}  // namespace
}  // namespace bridge::hub
