#include "bridge/hub/audience.h"

#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/random_seed.h"

namespace bridge::hub {
namespace {

class FakeSubscription final : public Subscription {
 private:
  ssize_t Write(absl::Span<const iovec> /*pieces*/) override { return 0; }
  void OnEnd(EndReason /*reason*/) override {}
};

Selection SelectionOf(const std::vector<std::string>& patterns, std::vector<std::string> types = {}) {
  Selection selection;
  for (const std::string& pattern : patterns) {
    selection.patterns.push_back(*topic::Pattern::Parse(pattern));
  }
  selection.types = std::move(types);
  selection.Normalize();
  return selection;
}

sse::FramePtr FrameOf(uint64_t sequence, const std::string& type = "") {
  return sse::Frame::Make({.sequence = sequence, .received = {}, .event = {.id = "1-1", .type = type, .data = "x"}});
}

class AudienceTest : public ::testing::Test {
 protected:
  void Append(const std::string& topic, const std::string& type = "") {
    ring_.Append(FrameOf(ring_.head_sequence() + 1, type), base::RefCountedString(topic));
  }

  // All that a stream at `next` finds, by as many calls as it takes.
  std::vector<uint64_t> FindAll(Audience* audience, uint64_t next, size_t count_max = 100) {
    std::vector<uint64_t> all;
    while (next < ring_.end_index()) {
      std::vector<uint64_t> some;
      next = audience->Find(ring_, next, count_max, {}, &some).next;
      all.insert(all.end(), some.begin(), some.end());
    }
    return all;
  }

  Audience::Item Owed(uint64_t sequence) {
    return {.frame = FrameOf(sequence), .index_before = sequence - 1, .index_after = sequence};
  }

  Ring ring_{{.events_max = 20'000}};
};

TEST(SelectionTest, CountsTypesAmongItsBytes) {
  const std::string pattern = "a";
  const size_t without = SelectionOf({pattern}).PatternBytes();
  const std::vector<std::string> types = {std::string(128, 'x'), std::string(128, 'y')};
  EXPECT_GE(SelectionOf({pattern}, types).PatternBytes(), without + 2 * (128 + sizeof(std::string)));
}

TEST(SelectionTest, MatchesEachOfItsTypesAndNoOther) {
  const Selection selection = SelectionOf({">"}, {"b", "message", "a"});
  for (const std::string type : {"a", "b", ""}) {
    EXPECT_TRUE(selection.MatchesType(*FrameOf(1, type))) << type;
  }
  for (const std::string type : {"c", "aa", "A"}) {
    EXPECT_FALSE(selection.MatchesType(*FrameOf(1, type))) << type;
  }
}

TEST_F(AudienceTest, SelectionsOfTheSameAreEqual) {
  EXPECT_EQ(SelectionOf({"a", "b.*", "a"}, {"y", "x"}), SelectionOf({"b.*", "a"}, {"x", "y", "x"}));
  EXPECT_NE(SelectionOf({"a"}), SelectionOf({"a"}, {"x"}));
  Selection plain = SelectionOf({"a"});
  plain.framing = Framing::kPlain;
  EXPECT_NE(plain, SelectionOf({"a"}));
}

TEST_F(AudienceTest, FindsWhatMatchesFromACursorOn) {
  for (int i = 0; i < 10'000; ++i) {
    Append(absl::StrCat("t.", i % 10), i % 20 == 3 ? "x" : "");
  }
  Audience one(SelectionOf({"t.3"}));
  EXPECT_EQ(FindAll(&one, 0, 7).size(), 1000U);
  EXPECT_EQ(FindAll(&one, 9993), std::vector<uint64_t>{9993});
  Audience typed(SelectionOf({"t.3"}, {"x"}));
  EXPECT_EQ(FindAll(&typed, 0).size(), 500U);
  Audience all(SelectionOf({"t.*"}));
  EXPECT_EQ(FindAll(&all, 5000).size(), 5000U);
  EXPECT_EQ(FindAll(&all, 100).size(), 9900U);  // from an earlier cursor than the first search's
  EXPECT_EQ(FindAll(&all, 9999).size(), 1U);
  Audience two(SelectionOf({"t.1", "t.2"}));
  EXPECT_EQ(FindAll(&two, 0).size(), 2000U);
}

TEST_F(AudienceTest, FindsOnAfterTheRingHasBeenTrimmedAndExtended) {
  Audience all(SelectionOf({"t.*"}));
  for (int i = 0; i < 20'000; ++i) {
    Append("t.1");
  }
  FindAll(&all, 0);
  for (int i = 0; i < 30'000; ++i) {
    Append("t.2");
  }
  EXPECT_EQ(FindAll(&all, ring_.begin_index()).size(), 20'000U);
}

TEST_F(AudienceTest, LooksBackForTheLastMatches) {
  for (int i = 0; i < 10'000; ++i) {
    Append(absl::StrCat("t.", i % 100));
  }
  const auto look_back = [&](Audience* audience, uint64_t count) {
    uint64_t before = ring_.end_index();
    while (count > 0 && before > ring_.begin_index()) {
      const Audience::Lookback step = audience->FindBackwards(ring_, before, count);
      before = step.searched_to;
      count -= step.found;
    }
    return before;
  };
  Audience one(SelectionOf({"t.7"}));
  EXPECT_EQ(look_back(&one, 1), 9907U);
  EXPECT_EQ(look_back(&one, 3), 9707U);
  EXPECT_EQ(look_back(&one, 1000), 0U);
  Audience two(SelectionOf({"t.7", "t.8"}));
  EXPECT_EQ(look_back(&two, 3), 9808U);
  Audience none(SelectionOf({"u"}));
  EXPECT_EQ(look_back(&none, 1), 0U);
}

TEST_F(AudienceTest, ARoundServesEveryLiveStreamOnce) {
  Audience audience(SelectionOf({"a"}));
  std::vector<FakeSubscription> streams(5);
  for (auto& stream : streams) {
    audience.AddLive(stream);
  }
  audience.Owe(Owed(1));
  audience.Owe(Owed(2));
  Audience::Round& round = audience.CurrentRound();
  EXPECT_EQ(round.items.size(), 2U);
  EXPECT_EQ(round.last_sequence, 2U);
  EXPECT_EQ(round.pieces.size(), 2U);
  for (size_t i = 0; i < streams.size(); ++i) {
    EXPECT_FALSE(audience.IsRoundServed());
    ++round.position;
  }
  EXPECT_TRUE(audience.IsRoundServed());
  audience.EndRound();
  EXPECT_FALSE(audience.is_owed());
}

TEST_F(AudienceTest, WhatComesDuringARoundIsTheNextRound) {
  Audience audience(SelectionOf({"a"}));
  FakeSubscription stream;
  audience.AddLive(stream);
  audience.Owe(Owed(1));
  Audience::Round& round = audience.CurrentRound();
  audience.Owe(Owed(2));
  EXPECT_TRUE(audience.IsOwed(stream));
  ++round.position;
  EXPECT_TRUE(audience.IsOwed(stream));
  audience.EndRound();
  ASSERT_TRUE(audience.is_owed());
  EXPECT_EQ(audience.CurrentRound().items[0].frame->sequence(), 2U);
}

TEST_F(AudienceTest, StreamThatJoinsDuringARoundSkipsWhatItHasFromTheRing) {
  Audience audience(SelectionOf({"a"}));
  FakeSubscription early;
  FakeSubscription late;
  audience.AddLive(early);
  audience.Owe(Owed(1));
  const Audience::Round& round = audience.CurrentRound();
  audience.AddLive(late);  // has caught up to the ring's end, where record 1 stands
  EXPECT_EQ(Audience::ItemsToSkip(early, round), 0U);
  EXPECT_EQ(Audience::ItemsToSkip(late, round), 1U);
  EXPECT_FALSE(audience.IsOwed(late));
}

TEST_F(AudienceTest, StreamsThatLeaveDuringARoundMakeNobodyMissItOrGetItTwice) {
  std::mt19937_64 random(test::RandomSeed());
  for (int trial = 0; trial < 3000; ++trial) {
    Audience audience(SelectionOf({"a"}));
    std::vector<FakeSubscription> streams(1 + random() % 8);
    std::vector<bool> is_live(streams.size(), true);
    std::vector<int> times_served(streams.size(), 0);
    for (auto& stream : streams) {
      audience.AddLive(stream);
    }
    audience.Owe(Owed(1));
    Audience::Round& round = audience.CurrentRound();
    while (!audience.IsRoundServed() ||
           random() % 4 != 0) {  // streams may leave also between the last send and the round's end
      const size_t i = random() % streams.size();
      if (random() % 3 == 0 && is_live[i]) {
        // Where it has been served it goes on behind the record, else before it.
        EXPECT_EQ(audience.IsOwed(streams[i]), times_served[i] == 0);
        audience.RemoveLive(streams[i], /*ring_end=*/1);
        is_live[i] = false;
      } else if (!audience.IsRoundServed()) {
        auto& served = static_cast<FakeSubscription&>(audience.NextToServe());
        ++times_served[static_cast<size_t>(&served - streams.data())];
        ++round.position;
      }
    }
    for (size_t i = 0; i < streams.size(); ++i) {
      EXPECT_LE(times_served[i], 1);
      EXPECT_TRUE(!is_live[i] || times_served[i] == 1);
    }
  }
}

}  // namespace
}  // namespace bridge::hub
