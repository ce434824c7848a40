// What workers do: answer, leave, come back and take over from each other.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/unit/calls/calls_fixture.h"

namespace bridge::calls {
namespace {

using test::Eventually;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Kind = Calls::Refusal::Kind;

TEST_F(CallsTest, KeepsAnUpdateUpToItsFirstBadEvent) {
  Start();
  const Serving serving = AddWorker(1);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  CallUpdate update{.call_id = call.id, .attempt = 1, .first_index = 0};
  update.events.push_back({.type = "", .data = "good", .retry = {}});
  update.rejected = absl::InvalidArgumentError("bad");
  serving.Update(std::move(update));
  EXPECT_TRUE(serving.worker->AwaitsAck(1));
  EXPECT_THAT(replica().Answer(call.id), ElementsAre("good"));
  // The ack names it.
  EXPECT_TRUE(std::ranges::any_of(serving.worker->acks(), [](const CallAck& ack) {
    return ack.status.code() == absl::StatusCode::kInvalidArgument && ack.next_index == 1;
  }));
}

TEST_F(CallsTest, KeepsWhatIsSentTwiceOnceAndTellsOfAHole) {
  Start();
  Serving serving = AddWorker(1);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  serving.Send(call.id, 0, {"a", "b"});
  serving.Send(call.id, 0, {"a", "b", "c"});
  EXPECT_TRUE(serving.worker->AwaitsAck(3));
  serving.Send(call.id, 5, {"f"});
  EXPECT_TRUE(serving.worker->AwaitsAck(3, absl::StatusCode::kOutOfRange));
  EXPECT_THAT(replica().Answer(call.id), ElementsAre("a", "b", "c"));
}

TEST_F(CallsTest, AreAnsweredTogetherAndOneThatIsNotHeldHarmsNoOther) {
  Start();
  Serving serving = AddWorker(2);
  const Calls::View first = Opened(Chat());
  const Calls::View second = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(2));
  const auto token = [](const std::string& id, uint64_t index, const std::string& data) {
    CallUpdate update{.call_id = id, .attempt = 1, .first_index = index};
    update.events.push_back({.type = "", .data = data, .retry = {}});
    return update;
  };
  std::vector<CallUpdate> updates = {token(first.id, 0, "a"), token(RandomCallId(), 0, "forged"),
                                     token(second.id, 0, "x"), token(first.id, 1, "b")};
  updates[2].has_end = true;
  absl::Notification taken;
  serving.calls->Update(serving.handle, std::move(updates), [&taken](bool /*is_taken*/) { taken.Notify(); });
  EXPECT_TRUE(taken.WaitForNotificationWithTimeout(absl::Seconds(10)));
  EXPECT_TRUE(replica().AwaitsEnd(second.id, "ok"));
  EXPECT_THAT(replica().Answer(first.id), ElementsAre("a", "b"));
  const auto acked = [&](const std::string& id, uint64_t next_index, absl::StatusCode code) {
    return Eventually([&] {
      return std::ranges::any_of(serving.worker->acks(), [&](const CallAck& ack) {
        return (id.empty() || ack.id == id) && ack.next_index == next_index && ack.status.code() == code;
      });
    });
  };
  EXPECT_TRUE(acked(first.id, 2, absl::StatusCode::kOk));
  EXPECT_TRUE(acked(second.id, 1, absl::StatusCode::kOk));
  EXPECT_TRUE(acked("", 0, absl::StatusCode::kNotFound));
}

TEST_F(CallsTest, IsNotAnsweredByAWorkerThatDoesNotHaveIt) {
  Start();
  const Serving serving = AddWorker(1);
  Serving other = AddWorker(0, "w2");
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  other.Send(call.id, 0, {"forged"});
  EXPECT_TRUE(other.worker->AwaitsAck(0, absl::StatusCode::kAborted));
  other.Send(RandomCallId(), 0, {"forged"});
  EXPECT_TRUE(other.worker->AwaitsAck(0, absl::StatusCode::kNotFound));
  EXPECT_THAT(replica().Answer(call.id), IsEmpty());
}

TEST_F(CallsTest, IsKeptByAWorkerThatComesBack) {
  Start();
  Serving before = AddWorker(1);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(before.worker->AwaitsCalls(1));
  before.Send(call.id, 0, {"a", "b"});
  ASSERT_TRUE(before.worker->AwaitsAck(2));
  before.calls->RemoveWorker(before.handle, Calls::Leave::kBroken);
  Serving after = AddWorker(1, "w1", 0, {{.call_id = call.id, .attempt = 1}});
  ASSERT_TRUE(after.worker->AwaitsAck(2));
  after.Send(call.id, 1, {"b", "c"});
  after.End(call.id, 3);
  EXPECT_TRUE(replica().AwaitsEnd(call.id, "ok"));
  EXPECT_EQ(replica().Answer(call.id).size(), 4U);
}

TEST_F(CallsTest, IsTakenOverByANewerStreamOfItsWorker) {
  Start();
  const Serving before = AddWorker(1);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(before.worker->AwaitsCalls(1));
  Serving after = AddWorker(1, "w1", 0, {{.call_id = call.id, .attempt = 1}});
  ASSERT_TRUE(after.worker->AwaitsAck(0));
  EXPECT_TRUE(before.worker->is_replaced());
  after.End(call.id, 0);
  EXPECT_TRUE(replica().AwaitsEnd(call.id, "ok"));
}

TEST_F(CallsTest, IsGivenToAnotherWorkerWhereTheFirstIsLostBeforeAnEvent) {
  Start({.worker_grace = absl::Milliseconds(100)});
  const Serving first = AddWorker(1);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(first.worker->AwaitsCalls(1));
  Serving second = AddWorker(1, "w2");
  first.calls->RemoveWorker(first.handle, Calls::Leave::kBroken);
  ASSERT_TRUE(second.worker->AwaitsCalls(1));
  EXPECT_EQ(second.worker->calls()[0].attempt, 2U);
  EXPECT_EQ(second.worker->calls()[0].body, "hello");
  second.End(call.id, 0, 0, 2);
  EXPECT_TRUE(replica().AwaitsEnd(call.id, "ok"));
}

TEST_F(CallsTest, EndsWhereItsWorkerIsLostAfterAnEvent) {
  Start({.worker_grace = absl::Milliseconds(100)});
  Serving first = AddWorker(1);
  const Serving second = AddWorker(0, "w2");
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(first.worker->AwaitsCalls(1));
  first.Send(call.id, 0, {"a"});
  ASSERT_TRUE(first.worker->AwaitsAck(1));
  first.calls->RemoveWorker(first.handle, Calls::Leave::kBroken);
  EXPECT_TRUE(replica().AwaitsEnd(call.id, "worker_lost"));
}

TEST_F(CallsTest, IsHandedBackByAHalfCloseAndByUnavailable) {
  Start({.attempts_max = 3});
  const Serving first = AddWorker(1);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(first.worker->AwaitsCalls(1));
  Serving second = AddWorker(1, "w2");
  first.calls->RemoveWorker(first.handle, Calls::Leave::kHandsBack);
  ASSERT_TRUE(second.worker->AwaitsCalls(1));
  Serving third = AddWorker(1, "w3");
  second.End(call.id, 0, /*UNAVAILABLE*/ 14, 2);
  ASSERT_TRUE(third.worker->AwaitsCalls(1));
  EXPECT_EQ(third.worker->calls()[0].attempt, 3U);
  third.End(call.id, 0, 14, 3);
  EXPECT_TRUE(replica().AwaitsEnd(call.id, "worker_lost"));
}

TEST_F(CallsTest, TellsAWorkerOfCallsThatAreNotItsOwn) {
  Start();
  const Serving serving = AddWorker(1, "w1", 0, {{.call_id = RandomCallId(), .attempt = 1}});
  EXPECT_TRUE(serving.worker->AwaitsStop(StopReason::kLost));
}

TEST_F(CallsTest, GetsNoNewCallsWhereItWantsNone) {
  Start();
  Serving serving = AddWorker(2);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  serving.calls->SetServe(serving.handle, {.worker_id = "w1", .names = {"chat"}, .max_concurrent = 0, .held = {}},
                          [] {});
  EXPECT_TRUE(Eventually([&] { return KindOf(replica().Open(Chat())) == Kind::kNoWorker; }));
  serving.End(call.id, 0);
  EXPECT_TRUE(replica().AwaitsEnd(call.id, "ok"));
}

TEST_F(CallsTest, GivesCallsToTheNextStreamOfAWorkerThatLeaves) {
  Start();
  const Serving first = AddWorker(1);
  first.calls->NoteLeaving(first.handle);
  const Calls::View call = Opened(Chat());
  replica().Find(call.id);  // by then it would have been claimed
  EXPECT_EQ(NewestInLog(), 1U);
  const Serving second = AddWorker(1);
  ASSERT_TRUE(second.worker->AwaitsCalls(1));
  EXPECT_EQ(second.worker->calls().front().attempt, 1);
  EXPECT_THAT(first.worker->calls(), IsEmpty());
}

TEST_F(CallsTest, HasTakenARequestWhenItsEventsHaveBeenFollowedAndAcked) {
  Start();
  Serving serving = AddWorker(1);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  // What the log holds is not followed while answers stall.
  replica().answers.StallAt(1);
  serving.Send(call.id, 0, {"a"});
  ASSERT_TRUE(serving.worker->AwaitsAck(1));
  std::atomic<uint64_t> acked_when_taken = 0;
  std::vector<CallUpdate> updates;
  updates.push_back(
      {.call_id = call.id, .attempt = 1, .first_index = 1, .events = {{.type = "", .data = "b", .retry = {}}}});
  serving.calls->Update(serving.handle, std::move(updates),
                        [&](bool /*is_taken*/) { acked_when_taken = serving.worker->acks().back().next_index; });
  constexpr uint64_t kRecords = 4;  // open, claim, a, b
  ASSERT_TRUE(Eventually([&] { return NewestInLog() == kRecords; }));
  replica().Find(call.id);  // the loop has heard from the log
  EXPECT_EQ(acked_when_taken, 0);
  replica().answers.NeverStall();
  serving.calls->ResumeAnswers();
  EXPECT_TRUE(Eventually([&] { return acked_when_taken == 2; }));
}

TEST_F(CallsTest, HasNotTakenARequestThatTheLogFails) {
  Start();
  Serving serving = AddWorker(1);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  log_->FailNext(log::v1::CallRecord::kEnd, LossyLog::Fate::kLost);
  std::vector<CallUpdate> updates;
  updates.push_back({.call_id = call.id, .attempt = 1, .first_index = 0});
  updates.back().has_end = true;
  EXPECT_FALSE(serving.IsTaken(std::move(updates)));
  EXPECT_TRUE(serving.worker->AwaitsAck(0, absl::StatusCode::kUnavailable));
  serving.End(call.id, 0);
  EXPECT_TRUE(replica().AwaitsEnd(call.id, "ok"));
}

TEST_F(CallsTest, HasNotTakenARequestOfAStreamThatANewerOneHasReplaced) {
  Start();
  const Serving before = AddWorker(1);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(before.worker->AwaitsCalls(1));
  const Serving after = AddWorker(1, "w1", 0, {{.call_id = call.id, .attempt = 1}});
  ASSERT_TRUE(after.worker->AwaitsAck(0));
  std::vector<CallUpdate> updates;
  updates.push_back({.call_id = call.id, .attempt = 1, .first_index = 0});
  updates.back().has_end = true;
  EXPECT_FALSE(before.IsTaken(std::move(updates)));
  EXPECT_THAT(replica().Answer(call.id), IsEmpty());
}

TEST_F(CallsTest, IsNotGivenMoreThanItWantsWhenItComesBack) {
  Start();
  const Serving before = AddWorker(2);
  const std::vector<Calls::View> held = Opened(Chat(), Chat());
  ASSERT_TRUE(before.worker->AwaitsCalls(2));
  const std::vector<Calls::View> waiting = Opened(Chat(), Chat());
  before.calls->RemoveWorker(before.handle, Calls::Leave::kBroken);
  Serving after = AddWorker(2, "w1", 0, {{.call_id = held[0].id, .attempt = 1}, {.call_id = held[1].id, .attempt = 1}});
  EXPECT_TRUE(Eventually([&] { return after.worker->acks().size() == 2; }));
  replica().Find(held[0].id);  // the loop has come around
  EXPECT_THAT(after.worker->calls(), IsEmpty());
  after.End(held[0].id, 0);
  ASSERT_TRUE(after.worker->AwaitsCalls(1));
  EXPECT_EQ(after.worker->calls()[0].id, waiting[0].id);
  EXPECT_EQ(after.worker->calls().size(), 1U);
}

TEST_F(CallsTest, IsClaimedNoMoreThanAFewTimesASecondWhileTheLogFails) {
  constexpr size_t kFailures = 1000;
  Start();
  const Serving serving = AddWorker(1);
  log_->FailNext(log::v1::CallRecord::kClaim, LossyLog::Fate::kLost, kFailures);
  const Calls::View call = Opened(Chat());
  absl::SleepFor(absl::Seconds(1));  // in which it would be tried thousands of times
  const size_t tried = kFailures - log_->left_to_fail();
  EXPECT_GE(tried, 1U);
  EXPECT_LE(tried, 20U);
  log_->FailNext(log::v1::CallRecord::kClaim, LossyLog::Fate::kLost, 0);
  EXPECT_TRUE(serving.worker->AwaitsCalls(1));
}

}  // namespace
}  // namespace bridge::calls
