#include "bridge/auth/grants.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bridge::auth {
namespace {

using ::testing::HasSubstr;

Identity With(const std::vector<absl::string_view>& patterns) {
  return {.subject = "", .subscribe = *PatternSet::Parse(patterns), .publish = *PatternSet::Parse(patterns)};
}

bool MaySubscribe(const std::vector<absl::string_view>& granted, absl::string_view wanted) {
  return With(granted).MaySubscribe(*topic::Pattern::Parse(wanted));
}

TEST(GrantsTest, APatternLiesWithinAGrantedOne) {
  EXPECT_TRUE(MaySubscribe({"orders.>"}, "orders.*"));
  EXPECT_TRUE(MaySubscribe({"orders.>"}, "orders.>"));
  EXPECT_TRUE(MaySubscribe({"orders.>"}, "orders.eu.42"));
  EXPECT_TRUE(MaySubscribe({"a", "orders.*"}, "orders.*"));
  EXPECT_TRUE(MaySubscribe({"a", "b.c"}, "b.c"));
  EXPECT_FALSE(MaySubscribe({"orders.*"}, "orders.>")) << "it matches more than was granted";
  EXPECT_FALSE(MaySubscribe({"orders.eu"}, "orders.*"));
  EXPECT_FALSE(MaySubscribe({"orders.>"}, ">"));
  EXPECT_FALSE(MaySubscribe({"orders.>"}, "orders"));
  EXPECT_FALSE(MaySubscribe({"*"}, "a.b"));
  EXPECT_FALSE(MaySubscribe({}, "a"));
}

TEST(GrantsTest, ATopicIsMatchedByAGrantedPattern) {
  EXPECT_TRUE(With({"orders.*"}).MayPublish("orders.eu"));
  EXPECT_TRUE(With({"a", "b"}).MayPublish("b"));
  EXPECT_FALSE(With({"orders.*"}).MayPublish("orders.eu.42"));
  EXPECT_FALSE(With({}).MayPublish("a"));
}

TEST(GrantsTest, SubscribingIsNotPublishing) {
  const Identity identity = {
      .subject = "", .subscribe = *PatternSet::Parse({"a"}), .publish = *PatternSet::Parse({"b"})};
  EXPECT_TRUE(identity.MaySubscribe(*topic::Pattern::Parse("a")));
  EXPECT_FALSE(identity.MayPublish("a"));
  EXPECT_TRUE(identity.MayPublish("b"));
  EXPECT_FALSE(identity.MaySubscribe(*topic::Pattern::Parse("b")));
}

TEST(GrantsTest, NobodyMayNothingForever) {
  const Identity nobody;
  EXPECT_FALSE(nobody.MayPublish("a"));
  EXPECT_FALSE(nobody.MaySubscribe(*topic::Pattern::Parse("a")));
  EXPECT_EQ(nobody.expires, absl::InfiniteFuture());
}

TEST(GrantsTest, PatternsAreBoundedInNumber) {
  EXPECT_TRUE(PatternSet::Parse(std::vector<absl::string_view>(1000, "a")).ok());
  EXPECT_THAT(std::string(PatternSet::Parse(std::vector<absl::string_view>(1001, "a")).status().message()),
              HasSubstr("1001 patterns; at most 1000 are accepted"));
  EXPECT_FALSE(PatternSet::Parse({"a", "b c"}).ok());
}

}  // namespace
}  // namespace bridge::auth
