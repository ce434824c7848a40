#include "bridge/hub/ring.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace bridge::hub {
namespace {

base::MonotonicTime At(int seconds) { return base::MonotonicTime(std::chrono::seconds(seconds)); }

sse::FramePtr FrameOf(const std::string& topic, uint64_t sequence, base::MonotonicTime received = At(0)) {
  return sse::Frame::Make(
      {.topic = topic, .sequence = sequence, .received = received, .event = {.id = "1-1", .data = "x"}});
}

TEST(Ring, HoldsTheNewestByNumber) {
  Ring ring({.events_max = 3});
  for (uint64_t sequence = 1; sequence <= 5; ++sequence) {
    ring.Append(FrameOf("a", sequence));
  }
  EXPECT_EQ(ring.begin_index(), 2U);
  EXPECT_EQ(ring.end_index(), 5U);
  EXPECT_EQ(ring[2]->sequence(), 3U);
  EXPECT_EQ(ring.trimmed_sequence(), 2U);
  EXPECT_EQ(ring.head_sequence(), 5U);
}

TEST(Ring, HoldsTheNewestByBytes) {
  Ring unbounded({});
  unbounded.Append(FrameOf("a", 1));
  const uint64_t one = unbounded.footprint_bytes();
  Ring ring({.bytes_max = 10 * one});
  for (uint64_t sequence = 1; sequence <= 100; ++sequence) {
    ring.Append(FrameOf("a", sequence));
    EXPECT_LE(ring.footprint_bytes(), 10 * one);
  }
  EXPECT_EQ(ring.end_index() - ring.begin_index(), 10U);
}

TEST(Ring, TrimsByAge) {
  Ring ring({.age_max = std::chrono::seconds(10)});
  ring.Append(FrameOf("a", 1, At(100)));
  ring.Append(FrameOf("a", 2, At(105)));
  ring.TrimByAge(At(110));
  EXPECT_EQ(ring.begin_index(), 0U);
  ring.TrimByAge(At(111));
  EXPECT_EQ(ring.begin_index(), 1U);
  ring.TrimByAge(At(1000));
  EXPECT_EQ(ring.begin_index(), ring.end_index());
  EXPECT_EQ(ring.trimmed_sequence(), 2U);
  EXPECT_EQ(ring.PostingsOf("a"), nullptr);
  EXPECT_EQ(ring.footprint_bytes(), 0U);
}

TEST(Ring, FindsTheIndexAfterASequenceAlsoWhereTheLogHasHoles) {
  Ring ring({});
  ring.Reset(9);
  for (const uint64_t sequence : {10U, 11U, 15U, 16U, 40U}) {
    ring.Append(FrameOf("a", sequence));
  }
  EXPECT_EQ(ring.trimmed_sequence(), 9U);
  const std::vector<std::pair<uint64_t, uint64_t>> cases = {{9, 0},  {10, 1}, {11, 2}, {12, 2}, {14, 2},
                                                            {15, 3}, {16, 4}, {39, 4}, {40, 5}, {99, 5}};
  for (const auto& [sequence, index] : cases) {
    EXPECT_EQ(ring.IndexAfter(sequence), index) << sequence;
  }
}

TEST(Ring, KnowsWhereTheRecordsOfATopicStand) {
  Ring ring({.events_max = 100});
  for (uint64_t sequence = 1; sequence <= 250; ++sequence) {
    ring.Append(FrameOf(absl::StrCat("t", sequence % 3), sequence));
  }
  const PostingList* const postings = ring.PostingsOf("t1");
  ASSERT_NE(postings, nullptr);
  EXPECT_EQ(postings->size(), 34U);
  for (size_t i = 0; i < postings->size(); ++i) {
    EXPECT_EQ(ring[(*postings)[i]]->topic(), "t1");
  }
  EXPECT_EQ((*postings)[postings->LowerBound(200)], 201U);
  EXPECT_EQ(ring.PostingsOf("unknown"), nullptr);
}

TEST(Ring, ResetGoesOnWithTheIndexes) {
  Ring ring({});
  ring.Append(FrameOf("a", 1));
  ring.Reset(50);
  EXPECT_EQ(ring.begin_index(), 1U);
  EXPECT_EQ(ring.head_sequence(), 50U);
  EXPECT_EQ(ring.trimmed_sequence(), 50U);
  ring.Append(FrameOf("a", 51));
  EXPECT_EQ(ring[1]->sequence(), 51U);
}

}  // namespace
}  // namespace bridge::hub
