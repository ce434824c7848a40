#include "bridge/hub/frame_list.h"

#include <string>

#include <gtest/gtest.h>

namespace bridge::hub {
namespace {

sse::FramePtr FrameOf(uint64_t sequence) {
  return sse::Frame::Make({.sequence = sequence, .received = {}, .event = {.data = "x"}});
}

TEST(FrameList, KnowsTheTopicOfEachFrame) {
  FrameList list;
  const std::string kTopics[] = {"a", "a", std::string(255, 't'), "a", "b", "b"};
  for (const std::string& topic : kTopics) {
    list.Append(FrameOf(list.size() + 1), topic);
  }
  ASSERT_EQ(list.size(), std::size(kTopics));
  for (size_t i = 0; i < list.size(); ++i) {
    EXPECT_EQ(list.topic(i).view(), kTopics[i]);
    EXPECT_EQ(list.frames()[i]->sequence(), i + 1);
  }
  EXPECT_EQ(list.topic(0).view().data(), list.topic(1).view().data()) << "held once";
}

TEST(FrameList, CountsWhatItTakes) {
  FrameList list;
  EXPECT_TRUE(list.empty());
  EXPECT_EQ(list.footprint_bytes(), 0U);
  const sse::FramePtr frame = FrameOf(1);
  list.Append(frame, "topic");
  list.Append(frame, "topic");
  EXPECT_EQ(list.footprint_bytes(), 2 * frame->footprint_bytes() + list.topic(0).footprint_bytes());
}

}  // namespace
}  // namespace bridge::hub
