#include "bridge/hub/ring.h"

#include <malloc.h>
#include <string>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/bridge_process.h"

namespace bridge::hub {
namespace {

base::MonotonicTime At(int seconds) { return base::MonotonicTime(std::chrono::seconds(seconds)); }

void Append(Ring* ring, const std::string& topic, uint64_t sequence, base::MonotonicTime received = At(0)) {
  ring->Append(sse::Frame::Make({.sequence = sequence, .received = received, .event = {.id = "1-1", .data = "x"}}),
               base::RefCountedString(topic));
}

TEST(Ring, HoldsTheNewestByNumber) {
  Ring ring({.events_max = 3});
  for (uint64_t sequence = 1; sequence <= 5; ++sequence) {
    Append(&ring, "a", sequence);
  }
  EXPECT_EQ(ring.begin_index(), 2U);
  EXPECT_EQ(ring.end_index(), 5U);
  EXPECT_EQ(ring[2]->sequence(), 3U);
  EXPECT_EQ(ring.trimmed_sequence(), 2U);
  EXPECT_EQ(ring.head_sequence(), 5U);
}

TEST(Ring, HoldsTheNewestByBytes) {
  Ring unbounded({});
  Append(&unbounded, "t100", 1);
  const uint64_t one = unbounded.footprint_bytes();
  Ring ring({.bytes_max = 10 * one});
  for (uint64_t sequence = 1; sequence <= 100; ++sequence) {
    Append(&ring, absl::StrCat("t", 100 + sequence), sequence);
    EXPECT_LE(ring.footprint_bytes(), 10 * one);
  }
  EXPECT_EQ(ring.end_index() - ring.begin_index(), 10U);
}

// What is allocated, with what the allocator adds.
uint64_t HeldBytes() {
  const auto held = mallinfo2();
  return held.uordblks + held.hblkhd;
}

void ExpectFootprintIsWhatIsHeld(const Ring& ring, uint64_t held) {
  EXPECT_LT(static_cast<double>(held), 1.03 * static_cast<double>(ring.footprint_bytes()));
  EXPECT_GT(static_cast<double>(held), 0.8 * static_cast<double>(ring.footprint_bytes()));
}

class RingMemory : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!test::CanMeasureMemory()) {
      GTEST_SKIP() << "a sanitizer's allocator says nothing about memory";
    }
  }
};

struct Load {
  std::string name;
  uint64_t topics = 1;
  size_t topic_bytes = 10;
};

class RingMemoryOf : public RingMemory, public ::testing::WithParamInterface<Load> {};

TEST_P(RingMemoryOf, IsWhatTheFootprintSaysAndStaysBelowTheBound) {
  const uint64_t before = HeldBytes();
  Ring ring({.events_max = 1'000'000, .bytes_max = uint64_t{32} << 20});
  for (uint64_t sequence = 1; ring.begin_index() < 100'000; ++sequence) {
    std::string topic = absl::StrCat(sequence % GetParam().topics);
    topic.resize(GetParam().topic_bytes, '-');
    Append(&ring, topic, sequence);
    if (sequence % 50'000 == 0) {
      ExpectFootprintIsWhatIsHeld(ring, HeldBytes() - before);
    }
  }
  EXPECT_LE(ring.footprint_bytes(), uint64_t{32} << 20);
  ring.Reset(1);
  EXPECT_EQ(ring.footprint_bytes(), 0U);
}

INSTANTIATE_TEST_SUITE_P(, RingMemoryOf,
                         ::testing::Values(Load{"OneTopic", 1}, Load{"SomeTopics", 1000}, Load{"ManyTopics", 100'000},
                                           Load{"ManyTopicsOfTheLongestName", 100'000, 255},
                                           Load{"NoTopicTwice", 1'000'000'000, 255}),
                         [](const auto& test) { return test.param.name; });

TEST_F(RingMemory, OfBurstsIsGivenBackWhenTheyHaveGone) {
  const uint64_t before = HeldBytes();
  Ring ring({.events_max = 20'000});
  uint64_t sequence = 0;
  for (int burst = 0; burst < 100; ++burst) {
    for (int i = 0; i < 10'000; ++i) {
      Append(&ring, absl::StrCat("t", burst), ++sequence);
    }
    for (int topic = 0; topic < burst; ++topic) {
      Append(&ring, absl::StrCat("t", topic), ++sequence);
    }
  }
  ExpectFootprintIsWhatIsHeld(ring, HeldBytes() - before);
  EXPECT_LT(ring.footprint_bytes(), 20'000U * 250);
}

TEST(Ring, TrimsByAge) {
  Ring ring({.age_max = std::chrono::seconds(10)});
  Append(&ring, "a", 1, At(100));
  Append(&ring, "a", 2, At(105));
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
    Append(&ring, "a", sequence);
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
    Append(&ring, absl::StrCat("t", sequence % 3), sequence);
  }
  const PostingList* const postings = ring.PostingsOf("t1");
  ASSERT_NE(postings, nullptr);
  EXPECT_EQ(postings->size(), 34U);
  for (size_t i = 0; i < postings->size(); ++i) {
    EXPECT_EQ(ring.TopicOf((*postings)[i]), "t1");
  }
  EXPECT_EQ((*postings)[postings->LowerBound(200)], 201U);
  EXPECT_EQ(ring.PostingsOf("unknown"), nullptr);
}

TEST(Ring, SharesTheNameOfATopicWithTheRingsOfOtherLoops) {
  Ring first({});
  Ring second({});
  const base::RefCountedString topic("a topic of some length");
  for (Ring* const ring : {&first, &second}) {
    for (uint64_t sequence = 1; sequence <= 2; ++sequence) {
      ring->Append(sse::Frame::Make({.sequence = sequence, .received = {}, .event = {.data = "x"}}), topic);
    }
  }
  EXPECT_EQ(first.TopicOf(0).data(), second.TopicOf(1).data());
}

TEST(Ring, ResetGoesOnWithTheIndexes) {
  Ring ring({});
  Append(&ring, "a", 1);
  ring.Reset(50);
  EXPECT_EQ(ring.begin_index(), 1U);
  EXPECT_EQ(ring.head_sequence(), 50U);
  EXPECT_EQ(ring.trimmed_sequence(), 50U);
  Append(&ring, "a", 51);
  EXPECT_EQ(ring[1]->sequence(), 51U);
}

}  // namespace
}  // namespace bridge::hub
