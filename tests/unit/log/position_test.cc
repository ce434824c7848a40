#include "bridge/log/position.h"

#include <limits>
#include <ostream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bridge::log {
namespace {

constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();

struct ValidCase {
  std::string name;
  Position position;
  std::string text;

  friend void PrintTo(const ValidCase& test, std::ostream* out) { *out << test.text; }
};

class ValidEventId : public testing::TestWithParam<ValidCase> {};

TEST_P(ValidEventId, IsThePositionAsText) { EXPECT_EQ(EventIdOf(GetParam().position), GetParam().text); }

TEST_P(ValidEventId, ComesBackAsThePosition) {
  const absl::StatusOr<Position> position = ParseEventId(GetParam().text);
  ASSERT_TRUE(position.ok()) << position.status();
  EXPECT_EQ(*position, GetParam().position);
}

TEST_P(ValidEventId, IsNoLongerThanTheLongest) { EXPECT_LE(EventIdOf(GetParam().position).size(), kEventIdBytesMax); }

INSTANTIATE_TEST_SUITE_P(
    , ValidEventId,
    testing::Values(ValidCase{"Usual", {.epoch = 0x18c3f00d, .sequence = 42}, "18c3f00d-42"},
                    ValidCase{"BeforeTheFirst", {.epoch = 0xa, .sequence = 0}, "a-0"},
                    ValidCase{"Zero", {.epoch = 0, .sequence = 0}, "0-0"},
                    ValidCase{"Longest", {.epoch = kMax, .sequence = kMax}, "ffffffffffffffff-18446744073709551615"}),
    [](const auto& test) { return test.param.name; });

struct InvalidCase {
  std::string name;
  std::string text;

  friend void PrintTo(const InvalidCase& test, std::ostream* out) { *out << testing::PrintToString(test.text); }
};

class InvalidEventId : public testing::TestWithParam<InvalidCase> {};

TEST_P(InvalidEventId, IsRejected) {
  const absl::StatusOr<Position> position = ParseEventId(GetParam().text);
  EXPECT_EQ(position.status().code(), absl::StatusCode::kInvalidArgument) << position.status();
}

INSTANTIATE_TEST_SUITE_P(
    , InvalidEventId,
    testing::Values(InvalidCase{"Empty", ""}, InvalidCase{"OnlySeparator", "-"}, InvalidCase{"NoSeparator", "18c3f00d"},
                    InvalidCase{"NoEpoch", "-42"}, InvalidCase{"NoSequence", "18c3f00d-"},
                    InvalidCase{"UpperCase", "18C3F00D-42"}, InvalidCase{"LeadingZeroInEpoch", "018c-42"},
                    InvalidCase{"LeadingZeroInSequence", "18c-042"}, InvalidCase{"HexPrefix", "0x18c-42"},
                    InvalidCase{"HexSequence", "18c-a"}, InvalidCase{"NegativeSequence", "18c--42"},
                    InvalidCase{"Plus", "18c-+42"}, InvalidCase{"SpaceBefore", " 18c-42"},
                    InvalidCase{"SpaceBehind", "18c-42 "}, InvalidCase{"MoreBehind", "18c-42-1"},
                    InvalidCase{"Nul", std::string("18c-42\0", 7)}, InvalidCase{"NoNumber", "xyz-42"},
                    InvalidCase{"EpochTooLarge", "1ffffffffffffffff-42"},
                    InvalidCase{"SequenceTooLarge", "18c-18446744073709551616"},
                    InvalidCase{"OtherSystems", "01HZX3V5-KJ"}),
    [](const auto& test) { return test.param.name; });

TEST(EventId, MessageSaysWhatWouldBeRight) {
  EXPECT_EQ(
      ParseEventId("18C-\n").status().message(),
      R"(event id "18C-\n": must be an epoch in lower-case hex, "-" and a sequence in decimal, no leading zeros, )"
      R"(as in "18c3f00d-42")");
}

TEST(EventId, MessageEchoesOnlyTheStartOfALongText) {
  const std::string message(ParseEventId(std::string(100'000, '\xff')).status().message());
  EXPECT_LT(message.size(), 400);
  EXPECT_THAT(message, testing::HasSubstr(R"(\xff...")"));
}

}  // namespace
}  // namespace bridge::log
