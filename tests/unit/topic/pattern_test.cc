#include "bridge/topic/pattern.h"

#include <ostream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/hash/hash_testing.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "tests/support/naive_topics.h"

namespace bridge::topic {
namespace {

using ::testing::HasSubstr;

Pattern Parsed(absl::string_view text) { return Pattern::Parse(text).value(); }

// All that can be made of `tokens`, up to `length_max` tokens long.
std::vector<std::string> Combinations(const std::vector<std::string>& tokens, size_t length_max) {
  std::vector<std::string> all = tokens;
  size_t begin = 0;
  for (size_t length = 2; length <= length_max; ++length) {
    const size_t end = all.size();
    for (; begin < end; ++begin) {
      for (const std::string& token : tokens) {
        all.push_back(absl::StrCat(all[begin], ".", token));
      }
    }
  }
  return all;
}

std::vector<Pattern> ShortPatterns() {
  std::vector<Pattern> patterns;
  for (const std::string& text : Combinations({"a", "b", "*", ">"}, 3)) {
    if (test::NaiveIsPattern(text)) {
      patterns.push_back(Parsed(text));
    }
  }
  return patterns;
}

struct InvalidCase {
  std::string name;
  std::string text;
  std::string message;

  friend void PrintTo(const InvalidCase& test, std::ostream* out) { *out << testing::PrintToString(test.text); }
};

class InvalidPattern : public testing::TestWithParam<InvalidCase> {};

TEST_P(InvalidPattern, IsRejectedWithWhatWouldBeRight) {
  const absl::StatusOr<Pattern> pattern = Pattern::Parse(GetParam().text);
  EXPECT_EQ(pattern.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(pattern.status().message()), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    , InvalidPattern,
    testing::Values(
        InvalidCase{"Empty", "",
                    R"(pattern "": is empty; tokens are [A-Za-z0-9_-]+, "*" or a last ">", with a dot between them, )"
                    R"(as in "orders.eu.42", "orders.*.created" or "orders.>")"},
        InvalidCase{"EmptyToken", "a..>", R"(pattern "a..>": token 2 is empty;)"},
        InvalidCase{
            "RestInTheMiddle", "a.>.b",
            R"(pattern "a.>.b": token 2 is ">", which can only be the last; before that "*" stands for one token;)"},
        InvalidCase{"RestTwice", ">.>", R"(token 1 is ">", which can only be the last;)"},
        InvalidCase{"StarInToken", "orders*",
                    R"(token 1 has a wildcard beside other bytes; a wildcard is a whole token;)"},
        InvalidCase{"TwoStars", "**", R"(token 1 has a wildcard beside other bytes;)"},
        InvalidCase{"RestInToken", "a.b>", R"(token 2 has a wildcard beside other bytes;)"},
        InvalidCase{"Dollar", "$JS.>", R"(token 1 has the byte "$";)"},
        InvalidCase{"OtherSystemsWildcards", "a/+/#", R"(token 1 has the byte "/";)"},
        InvalidCase{"Nul", std::string("a.\0", 3), R"(token 2 has the byte "\x00";)"},
        InvalidCase{"TooLong", absl::StrCat(std::string(254, 'a'), ".>"), "has 256 bytes; at most 255 are allowed"},
        InvalidCase{"TooManyTokens", absl::StrJoin(std::vector<std::string>(17, "*"), "."),
                    "has 17 tokens; at most 16 are allowed"}),
    [](const auto& test) { return test.param.name; });

struct MatchCase {
  std::string name;
  std::string pattern;
  std::string topic;
  bool matches;

  friend void PrintTo(const MatchCase& test, std::ostream* out) { *out << test.pattern << " and " << test.topic; }
};

class PatternMatch : public testing::TestWithParam<MatchCase> {};

TEST_P(PatternMatch, FollowsTheRules) {
  EXPECT_EQ(Parsed(GetParam().pattern).Matches(GetParam().topic), GetParam().matches);
}

INSTANTIATE_TEST_SUITE_P(, PatternMatch,
                         testing::Values(MatchCase{"LiteralMatchesItself", "orders.eu", "orders.eu", true},
                                         MatchCase{"LiteralIsCaseSensitive", "orders.eu", "orders.EU", false},
                                         MatchCase{"LiteralIsNoPrefix", "orders", "orders.eu", false},
                                         MatchCase{"LiteralIsNotLonger", "orders.eu", "orders", false},
                                         MatchCase{"TokensAreWhole", "orders.e", "orders.eu", false},
                                         MatchCase{"StarStandsForOneToken", "orders.*", "orders.eu", true},
                                         MatchCase{"StarStandsForNoMoreThanOne", "orders.*", "orders.eu.42", false},
                                         MatchCase{"StarStandsForNoLessThanOne", "orders.*", "orders", false},
                                         MatchCase{"StarInTheMiddle", "orders.*.created", "orders.eu.created", true},
                                         MatchCase{"StarFirst", "*.created", "orders.created", true},
                                         MatchCase{"StarAlone", "*", "orders", true},
                                         MatchCase{"RestStandsForOneToken", "orders.>", "orders.eu", true},
                                         MatchCase{"RestStandsForMore", "orders.>", "orders.eu.42.created", true},
                                         MatchCase{"RestStandsForNoLessThanOne", "orders.>", "orders", false},
                                         MatchCase{"RestAlone", ">", "orders.eu", true},
                                         MatchCase{"StarThenRest", "*.>", "orders.eu", true},
                                         MatchCase{"StarThenRestNeedTwo", "*.>", "orders", false},
                                         MatchCase{"OtherTokenBeforeRest", "orders.>", "users.eu", false}),
                         [](const auto& test) { return test.param.name; });

TEST(Pattern, MatchesAsTheNaiveModel) {
  for (const Pattern& pattern : ShortPatterns()) {
    for (const std::string& topic : Combinations({"a", "b", "c"}, 4)) {
      EXPECT_EQ(pattern.Matches(topic), test::NaiveMatches(pattern.text(), topic))
          << pattern.text() << " and " << topic;
    }
  }
}

TEST(Pattern, ContainsExactlyThePatternsAllOfWhoseTopicsItMatches) {
  const std::vector<std::string> topics = Combinations({"a", "b", "c"}, 5);
  const std::vector<Pattern> patterns = ShortPatterns();
  for (const Pattern& outer : patterns) {
    for (const Pattern& inner : patterns) {
      const bool is_contained = std::all_of(topics.begin(), topics.end(), [&](const std::string& topic) {
        return !inner.Matches(topic) || outer.Matches(topic);
      });
      EXPECT_EQ(outer.Contains(inner), is_contained) << outer.text() << " and " << inner.text();
    }
  }
}

TEST(Pattern, IsLiteralWithoutWildcards) {
  EXPECT_TRUE(Parsed("orders.eu").IsLiteral());
  EXPECT_FALSE(Parsed("orders.*").IsLiteral());
  EXPECT_FALSE(Parsed("orders.>").IsLiteral());
}

TEST(Pattern, KeepsItsText) { EXPECT_EQ(Parsed("orders.*.>").text(), "orders.*.>"); }

TEST(Pattern, HasTheLimitsOfATopic) {
  EXPECT_TRUE(Pattern::Parse(absl::StrCat(std::string(253, 'a'), ".>")).ok());
  EXPECT_TRUE(Pattern::Parse(absl::StrJoin(std::vector<std::string>(16, "*"), ".")).ok());
}

TEST(Pattern, IsAValueThatComparesAndHashesByItsText) {
  EXPECT_EQ(Parsed("a.*"), Parsed("a.*"));
  EXPECT_NE(Parsed("a.*"), Parsed("a.>"));
  EXPECT_LT(Parsed("a.*"), Parsed("a.a"));
  EXPECT_TRUE(absl::VerifyTypeImplementsAbslHashCorrectly({Parsed("a"), Parsed("a.*"), Parsed("a.>"), Parsed(">")}));
}

}  // namespace
}  // namespace bridge::topic
