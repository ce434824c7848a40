#include "bridge/topic/topic.h"

#include <ostream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_join.h"
#include "tests/support/naive_topics.h"

namespace bridge::topic {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

std::string TopicOfTokens(size_t count) { return absl::StrJoin(std::vector<std::string>(count, "t"), "."); }

struct ValidCase {
  std::string name;
  std::string topic;

  friend void PrintTo(const ValidCase& test, std::ostream* out) { *out << test.topic; }
};

class ValidTopic : public testing::TestWithParam<ValidCase> {};

TEST_P(ValidTopic, IsAccepted) {
  const absl::Status status = ValidateTopic(GetParam().topic);
  EXPECT_TRUE(status.ok()) << status;
}

INSTANTIATE_TEST_SUITE_P(, ValidTopic,
                         testing::Values(ValidCase{"OneByte", "a"}, ValidCase{"OneToken", "orders"},
                                         ValidCase{"SeveralTokens", "orders.eu.42"},
                                         ValidCase{"AllKindsOfBytes", "azAZ09_-.-._"}, ValidCase{"OnlyDashes", "--.-"},
                                         ValidCase{"LongestToken", std::string(255, 'a')},
                                         ValidCase{"MostTokens", TopicOfTokens(16)}),
                         [](const auto& test) { return test.param.name; });

struct InvalidCase {
  std::string name;
  std::string topic;
  // What the message is, or ends with.
  std::string message;

  friend void PrintTo(const InvalidCase& test, std::ostream* out) { *out << testing::PrintToString(test.topic); }
};

class InvalidTopic : public testing::TestWithParam<InvalidCase> {};

TEST_P(InvalidTopic, IsRejectedWithWhatWouldBeRight) {
  const absl::Status status = ValidateTopic(GetParam().topic);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().message));
}

constexpr char kRule[] = R"(; tokens are [A-Za-z0-9_-]+ with a dot between them, as in "orders.eu.42")";

INSTANTIATE_TEST_SUITE_P(
    , InvalidTopic,
    testing::Values(InvalidCase{"Empty", "", std::string(R"(topic "": is empty)") + kRule},
                    InvalidCase{"EmptyToken", "a..b", std::string(R"(topic "a..b": token 2 is empty)") + kRule},
                    InvalidCase{"LeadingDot", ".a", R"(topic ".a": token 1 is empty;)"},
                    InvalidCase{"TrailingDot", "a.", R"(topic "a.": token 2 is empty;)"},
                    InvalidCase{"OnlyDot", ".", R"(topic ".": token 1 is empty;)"},
                    InvalidCase{"Star", "orders.*",
                                R"(topic "orders.*": token 2 is the wildcard "*", which only patterns have;)"},
                    InvalidCase{"Rest", "orders.>", R"(token 2 is the wildcard ">", which only patterns have;)"},
                    InvalidCase{"StarInToken", "ord*", R"(token 1 has the byte "*";)"},
                    InvalidCase{"Space", "a.b c", R"(topic "a.b c": token 2 has the byte " ";)"},
                    InvalidCase{"Slash", "orders/eu", R"(token 1 has the byte "/";)"},
                    InvalidCase{"Dollar", "$SYS.x", R"(token 1 has the byte "$";)"},
                    InvalidCase{"LineFeed", "a\nb", R"(topic "a\nb": token 1 has the byte "\n";)"},
                    InvalidCase{"Nul", std::string("a\0b", 3), R"(topic "a\x00\x62": token 1 has the byte "\x00";)"},
                    InvalidCase{"Utf8", "caf\xc3\xa9", R"(topic "caf\xc3\xa9": token 1 has the byte "\xc3";)"},
                    InvalidCase{"Quote", "a\"b", R"(topic "a\"b": token 1 has the byte "\"";)"},
                    InvalidCase{"TooLong", std::string(256, 'a'), R"(...": has 256 bytes; at most 255 are allowed)"},
                    InvalidCase{"TooManyTokens", TopicOfTokens(17), R"(: has 17 tokens; at most 16 are allowed)"}),
    [](const auto& test) { return test.param.name; });

TEST(Topic, MessageEchoesOnlyTheStartOfALongTopic) {
  const std::string message(ValidateTopic(std::string(1'000'000, '\xff')).message());
  EXPECT_LT(message.size(), 500);
  EXPECT_THAT(message, EndsWith("has 1000000 bytes; at most 255 are allowed"));
}

TEST(Topic, EveryByteIsJudgedAsTheGrammarSays) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string topic = {'a', static_cast<char>(byte), 'b'};
    EXPECT_EQ(ValidateTopic(topic).ok(), test::NaiveIsTopic(topic)) << testing::PrintToString(topic);
  }
}

}  // namespace
}  // namespace bridge::topic
