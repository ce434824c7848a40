#include "bridge/calls/follow_waits.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/status/status.h"

namespace bridge::calls {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class FollowWaitsTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kEpoch = 7;

  // Notes when it is over.
  FollowWaits::Task Task(const std::string& name) {
    return [this, name](const absl::Status& status) { over_.push_back(status.ok() ? name : name + " failed"); };
  }
  void AwaitHead(const std::string& name) { waits_.AwaitHead(Task(name)); }
  // The answer to the question that is on its way.
  void Answer(uint64_t newest, uint64_t epoch = kEpoch) {
    waits_.OnBounds(log::Bounds{.epoch = epoch, .newest = newest}, followed_);
  }
  void Follow(uint64_t sequence) {
    followed_.sequence = sequence;
    waits_.OnFollowed(sequence);
  }

  size_t questions_ = 0;
  log::Position followed_ = {.epoch = kEpoch, .sequence = 10};
  std::vector<std::string> over_;
  FollowWaits waits_{[this] { ++questions_; }};
};

TEST_F(FollowWaitsTest, WaitsUntilWhatTheLogHoldsHasBeenFollowed) {
  AwaitHead("a");
  EXPECT_EQ(questions_, 1);
  Answer(12);
  EXPECT_THAT(over_, IsEmpty());
  Follow(11);
  EXPECT_THAT(over_, IsEmpty());
  Follow(12);
  EXPECT_THAT(over_, ElementsAre("a"));
  EXPECT_EQ(questions_, 1);
}

TEST_F(FollowWaitsTest, WhoComesWhileTheLogIsAskedSharesTheNextQuestion) {
  AwaitHead("a");
  AwaitHead("b");
  AwaitHead("c");
  EXPECT_EQ(questions_, 1);
  Answer(10);
  EXPECT_THAT(over_, ElementsAre("a")) << "the others may know of something newer";
  EXPECT_EQ(questions_, 2);
  AwaitHead("d");
  Answer(10);
  EXPECT_THAT(over_, ElementsAre("a", "b", "c"));
  EXPECT_EQ(questions_, 3);
  Answer(10);
  EXPECT_THAT(over_, ElementsAre("a", "b", "c", "d"));
  EXPECT_EQ(questions_, 3);
}

TEST_F(FollowWaitsTest, ATaskMayWaitAgain) {
  waits_.AwaitHead([this](const absl::Status&) {
    over_.emplace_back("a");
    AwaitHead("a again");
  });
  AwaitHead("b");
  Answer(10);
  EXPECT_THAT(over_, ElementsAre("a"));
  Answer(10);
  EXPECT_THAT(over_, ElementsAre("a", "b")) << "the second question was asked before";
  Answer(10);
  EXPECT_THAT(over_, ElementsAre("a", "b", "a again"));
  EXPECT_EQ(questions_, 3);
}

TEST_F(FollowWaitsTest, ALogThatAnswersAtOnceIsNoWait) {
  FollowWaits* asked = nullptr;
  FollowWaits waits([this, &asked] { asked->OnBounds(log::Bounds{.epoch = kEpoch, .newest = 10}, followed_); });
  asked = &waits;
  waits.AwaitHead([this, &waits](const absl::Status& status) {
    Task("a")(status);
    waits.AwaitHead(Task("b"));
  });
  EXPECT_THAT(over_, ElementsAre("a", "b"));
}

TEST_F(FollowWaitsTest, AQuestionThatFailsFailsThoseItWasAskedFor) {
  AwaitHead("a");
  AwaitHead("b");
  waits_.OnBounds(absl::UnavailableError("away"), followed_);
  EXPECT_THAT(over_, ElementsAre("a failed"));
  Answer(10);
  EXPECT_THAT(over_, ElementsAre("a failed", "b"));
}

TEST_F(FollowWaitsTest, FailsWhatWaitsToBeFollowed) {
  waits_.AwaitFollowed({.epoch = kEpoch, .sequence = 11}, followed_, Task("a"));
  AwaitHead("b");
  waits_.Fail(absl::UnavailableError("away"));
  EXPECT_THAT(over_, ElementsAre("a failed"));
}

TEST_F(FollowWaitsTest, WaitsForNothingOfAnotherEpoch) {
  AwaitHead("a");
  Answer(11, kEpoch + 1);
  EXPECT_THAT(over_, ElementsAre("a"));
  waits_.AwaitFollowed({.epoch = kEpoch, .sequence = 11}, followed_, Task("b"));
  waits_.OnEpoch();
  Follow(0);
  EXPECT_THAT(over_, ElementsAre("a", "b"));
}

}  // namespace
}  // namespace bridge::calls
