#include "bridge/topic/pattern_index.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "tests/support/naive_topics.h"
#include "tests/support/random_seed.h"

namespace bridge::topic {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

Pattern Parsed(absl::string_view text) { return Pattern::Parse(text).value(); }

using Index = PatternIndex<const int*>;

std::vector<const int*> MatchesOf(const Index& index, absl::string_view topic) {
  std::vector<const int*> matches;
  index.Match(topic, [&matches](const int* value) { matches.push_back(value); });
  return matches;
}

class PatternIndexTest : public testing::Test {
 protected:
  void Add(absl::string_view pattern, const int& value) { index_.Add(Parsed(pattern), &value); }
  void Remove(absl::string_view pattern, const int& value) { index_.Remove(Parsed(pattern), &value); }
  std::vector<const int*> Matches(absl::string_view topic) const { return MatchesOf(index_, topic); }

  const int anna_ = 0;
  const int bert_ = 0;
  Index index_;
};

TEST_F(PatternIndexTest, StartsEmptyAndMatchesNothing) {
  EXPECT_TRUE(index_.empty());
  EXPECT_THAT(Matches("orders"), IsEmpty());
}

TEST_F(PatternIndexTest, FindsLiteralPatterns) {
  Add("orders.eu", anna_);
  EXPECT_THAT(Matches("orders.eu"), ElementsAre(&anna_));
  EXPECT_THAT(Matches("orders"), IsEmpty());
  EXPECT_THAT(Matches("orders.eu.42"), IsEmpty());
}

TEST_F(PatternIndexTest, FindsWildcardPatterns) {
  Add("orders.*", anna_);
  Add("orders.>", bert_);
  EXPECT_THAT(Matches("orders"), IsEmpty());
  EXPECT_THAT(Matches("orders.eu"), UnorderedElementsAre(&anna_, &bert_));
  EXPECT_THAT(Matches("orders.eu.42"), ElementsAre(&bert_));
}

TEST_F(PatternIndexTest, ReportsAValueOncePerMatchingPattern) {
  Add("orders.eu", anna_);
  Add("orders.*", anna_);
  Add(">", anna_);
  EXPECT_THAT(Matches("orders.eu"), ElementsAre(&anna_, &anna_, &anna_));
}

TEST_F(PatternIndexTest, AddingTwiceIsAddingOnce) {
  for (const char* pattern : {"orders.eu", "orders.*", "orders.>"}) {
    Add(pattern, anna_);
    Add(pattern, anna_);
    EXPECT_THAT(Matches("orders.eu"), ElementsAre(&anna_)) << pattern;
    Remove(pattern, anna_);
    EXPECT_TRUE(index_.empty()) << pattern;
  }
}

TEST_F(PatternIndexTest, RemovesOneValueOfOnePattern) {
  Add("orders.*", anna_);
  Add("orders.*", bert_);
  Add("orders.>", anna_);
  Remove("orders.*", anna_);
  EXPECT_THAT(Matches("orders.eu"), UnorderedElementsAre(&anna_, &bert_));
}

TEST_F(PatternIndexTest, RemovingWhatIsNotThereChangesNothing) {
  for (const char* pattern : {"orders", "orders.*", "orders.>", "orders.*.created", "*.*", "orders.eu"}) {
    Remove(pattern, anna_);
  }
  Add("orders.*.created", anna_);
  for (const char* pattern : {"orders", "orders.*", "orders.>", "orders.*.paid", "*.*.created"}) {
    Remove(pattern, anna_);
  }
  Remove("orders.*.created", bert_);
  EXPECT_THAT(Matches("orders.eu.created"), ElementsAre(&anna_));
}

TEST_F(PatternIndexTest, LongTokensAndDeepPatternsWork) {
  const std::string topic = absl::StrJoin(std::vector<std::string>(16, "t"), ".");
  const std::string stars = absl::StrJoin(std::vector<std::string>(16, "*"), ".");
  const std::string long_token(200, 'x');
  Add(stars, anna_);
  Add(absl::StrCat(long_token, ".*"), bert_);
  EXPECT_THAT(Matches(topic), ElementsAre(&anna_));
  EXPECT_THAT(Matches(absl::StrCat(long_token, ".a")), ElementsAre(&bert_));
}

TEST_F(PatternIndexTest, HoldsManyValuesUnderOnePattern) {
  const std::vector<int> values(10'000);
  for (const char* pattern : {"ticker", "ticker.*"}) {
    for (const int& value : values) {
      Add(pattern, value);
    }
  }
  EXPECT_EQ(Matches("ticker").size(), values.size());
  EXPECT_EQ(Matches("ticker.eu").size(), values.size());
  for (const char* pattern : {"ticker", "ticker.*"}) {
    for (const int& value : values) {
      Remove(pattern, value);
    }
  }
  EXPECT_TRUE(index_.empty());
}

TEST_F(PatternIndexTest, PatternsPartWhereTheirTokensDo) {
  const std::vector<std::string> patterns = {"*.a.b.c",   "*.a.b.d", "*.a", "*.a.b.c.>", "*.a.*.c", "*.a.>",
                                             "*.a.b.c.*", "*.>",     "a.>", "a.b.>",     "a.b.*.d", "a.b.*"};
  for (const std::string& pattern : patterns) {
    Add(pattern, anna_);
  }
  EXPECT_EQ(Matches("x.a.b.c").size(), 4U);
  EXPECT_EQ(Matches("x.a.b.c.d").size(), 4U);
  EXPECT_EQ(Matches("a.b.c.d").size(), 4U);
  EXPECT_EQ(Matches("a.a").size(), 3U);
  EXPECT_THAT(Matches("x"), IsEmpty());
  for (auto left = patterns.begin(); left != patterns.end(); ++left) {
    const auto matching = std::count_if(
        left, patterns.end(), [](const std::string& pattern) { return test::NaiveMatches(pattern, "x.a.b.c"); });
    EXPECT_EQ(Matches("x.a.b.c").size(), static_cast<size_t>(matching)) << *left;
    Remove(*left, anna_);
  }
  EXPECT_TRUE(index_.empty());
}

TEST_F(PatternIndexTest, AMatchInPartsFindsTheSame) {
  Add("a.b", anna_);
  for (const char* pattern : {"a.*", "*.b", "*.*", ">", "a.>"}) {
    Add(pattern, anna_);
    Add(pattern, bert_);
  }
  Index::Walk walk;
  index_.Begin("a.b", walk);
  std::vector<const int*> found;
  size_t steps = 0;
  while (!walk.is_done()) {
    EXPECT_EQ(Index::Continue(walk, 1, [&](const int* value) { found.push_back(value); }), 1U);
    ++steps;
  }
  EXPECT_THAT(found, testing::UnorderedElementsAreArray(Matches("a.b")));
  EXPECT_GT(steps, found.size());
  EXPECT_EQ(Index::Continue(walk, 1, [&](const int* value) { found.push_back(value); }), 0U);
}

TEST_F(PatternIndexTest, EveryCombinationOfWildcardsOfADeepTopicIsFoundOnce) {
  constexpr unsigned kDepth = 10;
  std::vector<Pattern> bomb;
  for (unsigned mask = 0; mask < 1U << kDepth; ++mask) {
    std::vector<std::string> tokens;
    for (unsigned at = 0; at < kDepth; ++at) {
      tokens.emplace_back((mask >> at & 1U) != 0 ? "*" : "t");
    }
    bomb.push_back(Parsed(absl::StrJoin(tokens, ".")));
    index_.Add(bomb.back(), &anna_);
  }
  EXPECT_EQ(Matches("t.t.t.t.t.t.t.t.t.t").size(), bomb.size());
  for (const Pattern& pattern : bomb) {
    index_.Remove(pattern, &anna_);
  }
  EXPECT_TRUE(index_.empty());
}

// An index and a list of all that is in it.
class Model {
 public:
  void Add(const Pattern& pattern, const int* value) {
    index_.Add(pattern, value);
    const auto added = std::make_pair(pattern, value);
    if (std::find(all_.begin(), all_.end(), added) == all_.end()) {
      all_.push_back(added);
    }
  }

  void Remove(const Pattern& pattern, const int* value) {
    index_.Remove(pattern, value);
    std::erase(all_, std::make_pair(pattern, value));
  }

  void ExpectEqualMatches(const std::string& topic) const {
    std::vector<const int*> expected;
    for (const auto& [pattern, value] : all_) {
      if (test::NaiveMatches(pattern.text(), topic)) {
        expected.push_back(value);
      }
    }
    EXPECT_THAT(MatchesOf(index_, topic), testing::UnorderedElementsAreArray(expected)) << topic;
  }

  void RemoveAll() {
    for (const auto& [pattern, value] : all_) {
      index_.Remove(pattern, value);
    }
    EXPECT_TRUE(index_.empty());
  }

  size_t size() const { return all_.size(); }

 private:
  std::vector<std::pair<Pattern, const int*>> all_;
  Index index_;
};

TEST(PatternIndexAgainstModel, RandomChangesMatchAlike) {
  const uint64_t seed = test::RandomSeed();
  SCOPED_TRACE(absl::StrCat("BRIDGE_TEST_SEED=", seed));
  std::mt19937_64 random(seed);
  const auto below = [&random](size_t bound) { return std::uniform_int_distribution<size_t>(0, bound - 1)(random); };
  const auto text = [&](const std::vector<std::string>& tokens) {
    std::vector<std::string> chosen(1 + below(4));
    std::generate(chosen.begin(), chosen.end(), [&] { return tokens[below(tokens.size())]; });
    return absl::StrJoin(chosen, ".");
  };
  const auto pattern = [&] { return Parsed(text({"a", "b", "c", "*"}) + (below(4) == 0 ? ".>" : "")); };

  const std::array<int, 5> values{};
  Model model;
  for (int step = 0; step < 20'000; ++step) {
    const int* value = &values[below(values.size())];
    if (below(250) < 250 - model.size()) {
      model.Add(pattern(), value);
    } else {
      model.Remove(pattern(), value);
    }
    model.ExpectEqualMatches(text({"a", "b", "c", "d"}));
    ASSERT_FALSE(testing::Test::HasFailure()) << "at step " << step;
  }
  model.RemoveAll();
}

}  // namespace
}  // namespace bridge::topic
