// Two replicas that follow the same log.

#include <atomic>
#include <cstddef>
#include <map>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/unit/calls/calls_fixture.h"

namespace bridge::calls {
namespace {

using test::Eventually;
using ::testing::IsEmpty;
using Kind = Calls::Refusal::Kind;

TEST_F(CallsTest, IsAnsweredByAWorkerOfAnotherReplica) {
  Start({}, 2);
  Serving serving = AddWorker(1, "w1", 1);
  ASSERT_TRUE(Eventually([&] {
    const Calls::Outcome outcome = replica(0).Open(Chat());
    return std::holds_alternative<Calls::View>(outcome);
  }));
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  const std::string id = serving.worker->calls()[0].id;
  serving.Send(id, 0, {"a"});
  ASSERT_TRUE(serving.worker->AwaitsAck(1));
  EXPECT_TRUE(Eventually([&] { return replica(0).Answer(id).size() == 1; }));
}

TEST_F(CallsTest, IsGivenToOneWorkerByTwoReplicas) {
  Start({}, 2);
  std::vector<Serving> workers = {AddWorker(50, "w1", 0), AddWorker(50, "w2", 1)};
  std::vector<Calls::View> calls;
  for (int i = 0; i < 60; ++i) {
    calls.push_back(Opened(Chat(), static_cast<size_t>(i % 2)));
  }
  const auto given = [&] { return workers[0].worker->calls().size() + workers[1].worker->calls().size(); };
  EXPECT_TRUE(Eventually([&] { return given() == calls.size(); }));
  std::map<std::string, int> times;
  for (const Serving& each : workers) {
    for (const AssignedCall& call : each.worker->calls()) {
      ++times[call.id];
    }
  }
  EXPECT_EQ(times.size(), calls.size());
}

TEST_F(CallsTest, MovesWithItsWorkerBetweenReplicas) {
  Start({}, 2);
  Serving before = AddWorker(1, "w1", 0);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(before.worker->AwaitsCalls(1));
  before.Send(call.id, 0, {"a"});
  ASSERT_TRUE(before.worker->AwaitsAck(1));
  Serving after = AddWorker(1, "w1", 1, {{.call_id = call.id, .attempt = 1}});
  ASSERT_TRUE(after.worker->AwaitsAck(1));
  EXPECT_TRUE(Eventually([&] { return before.worker->is_replaced(); }));
  after.Send(call.id, 1, {"b"});
  after.End(call.id, 2);
  EXPECT_TRUE(replica(0).AwaitsEnd(call.id, "ok"));
  EXPECT_EQ(replica(0).Answer(call.id).size(), 3U);
}

TEST_F(CallsTest, IsReadOnAnyReplica) {
  Start({.grace = absl::Milliseconds(1500)}, 2);
  const Serving serving = AddWorker(1, "w1", 0);
  Calls::View call = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  const Calls::Outcome elsewhere = replica(1).Find(call.id, {}, Calls::Access::kRead);
  ASSERT_TRUE(std::holds_alternative<Calls::View>(elsewhere));
  call.reader = {};
  absl::SleepFor(absl::Milliseconds(2500));  // longer than the grace
  EXPECT_THAT(serving.worker->stops(), IsEmpty());
}

TEST_F(CallsTest, IsOneCallWhereItsKeyComesToTwoReplicasAtOnce) {
  Start({}, 2);
  const std::vector<Serving> workers = {AddWorker(50, "w1", 0), AddWorker(50, "w2", 1)};
  for (int i = 0; i < 20; ++i) {
    CallRequest request = Chat();
    request.idempotency_key = absl::StrCat("key ", i);
    std::vector<std::string> ids(2);
    std::vector<std::thread> both;
    for (size_t on = 0; on < 2; ++on) {
      both.emplace_back([&, on] { ids[on] = Opened(request, on).id; });
    }
    for (std::thread& each : both) {
      each.join();
    }
    EXPECT_EQ(ids[0], ids[1]);
  }
}

TEST_F(CallsTest, IsStoppedAtOnceWhereItsLastReaderLeavesAnotherReplicaThanItsWorkers) {
  Start({.grace = absl::Seconds(60)}, 2);
  const Serving serving = AddWorker(1, "w1", 1);
  CallRequest request = Chat();
  request.on_disconnect = OnDisconnect::kCancel;
  Calls::View call = OpenedWhereSeen(request, 0);
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  absl::SleepFor(absl::Milliseconds(500));  // it is read all the time
  EXPECT_THAT(serving.worker->stops(), IsEmpty());
  call.reader = {};
  EXPECT_TRUE(serving.worker->AwaitsStop(StopReason::kAbandoned));
}

TEST_F(CallsTest, IsGivenToTheWorkerOfAClaimThatSeemedToFail) {
  Start({}, 2);
  Serving serving = AddWorker(1);
  log_->FailNext(log::v1::CallRecord::kClaim, LossyLog::Fate::kKept);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  EXPECT_TRUE(log_->HasFailed());
  serving.End(call.id, 0);
  EXPECT_TRUE(replica().AwaitsEnd(call.id, "ok"));
  EXPECT_EQ(serving.worker->calls().size(), 1U);
}

TEST_F(CallsTest, IsClaimedAgainByAnotherReplicaThanItsOwnAfterAFailure) {
  Start({}, 2);
  Serving serving = AddWorker(1, "w1", 1);
  ASSERT_TRUE(Eventually([&] { return KindOf(replica(0).Open(Chat())) != Kind::kNoWorker; }));
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  serving.End(serving.worker->calls()[0].id, 0);
  log_->FailNext(log::v1::CallRecord::kClaim, LossyLog::Fate::kLost);
  const Calls::View call = Opened(Chat(), 0);
  ASSERT_TRUE(serving.worker->AwaitsCalls(2));
  EXPECT_TRUE(log_->HasFailed());
}

TEST_F(CallsTest, MovesWithItsWorkerWhereTheFirstClaimIsLost) {
  Start({.worker_grace = absl::Seconds(1)}, 2);
  Serving before = AddWorker(1, "w1", 0);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(before.worker->AwaitsCalls(1));
  before.Send(call.id, 0, {"a"});
  ASSERT_TRUE(before.worker->AwaitsAck(1));
  log_->FailNext(log::v1::CallRecord::kClaim, LossyLog::Fate::kLost);
  Serving after = AddWorker(1, "w1", 1, {{.call_id = call.id, .attempt = 1}});
  ASSERT_TRUE(after.worker->AwaitsAck(1));
  EXPECT_TRUE(log_->HasFailed());
  after.End(call.id, 1);
  EXPECT_TRUE(replica(0).AwaitsEnd(call.id, "ok"));
}

TEST_F(CallsTest, TellsAWorkerThatComesWithACallWhichEndsMeanwhile) {
  Start({}, 2);
  const Serving before = AddWorker(1, "w1", 0);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(before.worker->AwaitsCalls(1));
  log_->FailNext(log::v1::CallRecord::kClaim, LossyLog::Fate::kLost);
  const Serving after = AddWorker(1, "w1", 1, {{.call_id = call.id, .attempt = 1}});
  ASSERT_TRUE(Eventually([&] { return log_->HasFailed(); }));
  Write(EndRecord(call.id, {.status = EndStatus::kDeadline}));
  EXPECT_TRUE(after.worker->AwaitsStop(StopReason::kLost));
}

TEST_F(CallsTest, StaysWithTheNewerStreamWhereAClaimForAnOlderOneComesLate) {
  Start({}, 2);
  Serving serving = AddWorker(1, "w1", 0);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  log::v1::CallClaim late;
  late.set_attempt(1);
  late.set_worker("team\nw1");
  late.set_replica("another");
  late.set_stream(1);
  Write(ClaimRecord(call.id, late));
  serving.Send(call.id, 0, {"a"});
  EXPECT_TRUE(serving.worker->AwaitsAck(1));
  // Nor does it end for a call that only the other replica has given it.
  const std::string other = RandomCallId();
  Write(OpenRecord(other, Chat(), "another"));
  Write(ClaimRecord(other, late));
  serving.Send(call.id, 1, {"b"});
  EXPECT_TRUE(serving.worker->AwaitsAck(2));
  EXPECT_FALSE(serving.worker->is_replaced());
}

TEST_F(CallsTest, TellsAWorkerThatItsCallIsGivenToAnother) {
  Start({}, 2);
  const Serving serving = AddWorker(1, "w1", 0);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  Write(ReleaseRecord(call.id, 1, /*turn=*/1));
  ASSERT_TRUE(serving.worker->AwaitsStop(StopReason::kLost));
  EXPECT_EQ(serving.worker->stops()[0].attempt, 1U);
}

TEST_F(CallsTest, IsAbandonedWhereTheReplicaOfItsReaderIsGone) {
  Start({.grace = absl::Milliseconds(100)}, 2);
  const Serving serving = AddWorker(1, "w1", 0);
  Calls::View call = OpenedWhereSeen(Chat(), 1);
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  fan_out_->Drop(replica(1).calls.get());
  replica(1).Detach();
  EXPECT_TRUE(serving.worker->AwaitsStop(StopReason::kAbandoned));
  call.reader = {};
  replicas_[1] = nullptr;
}

TEST_F(CallsTest, IsSeenToByAnotherReplicaWhenItsOwnIsGone) {
  Start({.grace = absl::Seconds(60), .worker_grace = absl::Milliseconds(200)}, 2);
  const Serving first = AddWorker(1, "w1", 0);
  Serving second = AddWorker(0, "w2", 1);
  ASSERT_TRUE(Eventually([&] { return std::holds_alternative<Calls::View>(replica(1).Open(Chat())); }));
  ASSERT_TRUE(first.worker->AwaitsCalls(1));
  second.calls->SetServe(second.handle, {.worker_id = "w2", .names = {"chat"}, .max_concurrent = 10, .held = {}},
                         [] {});
  fan_out_->Drop(replica(0).calls.get());
  replica(0).Detach();
  replicas_[0] = nullptr;
  ASSERT_TRUE(Eventually([&] { return second.worker->calls().size() == 1; }, absl::Seconds(20)));
  EXPECT_EQ(second.worker->calls()[0].attempt, 2U);
}

// --- Calls that this replica does not know, for which it asks the log.

class UnknownCalls : public CallsTest {
 protected:
  // Looks for so many, and cancels every other one; returns when all of that has come to Calls.
  void Ask(size_t count) {
    Calls& calls = *replica().calls;
    for (size_t i = 0; i < count; ++i) {
      const auto note = [this](const Calls::Outcome& outcome) {
        (KindOf(outcome) == Kind::kNotFound ? not_found_ : others_).fetch_add(1);
      };
      if (i % 2 == 0) {
        calls.Find(RandomCallId(), {}, Calls::Access::kLook, note);
      } else {
        calls.Cancel(RandomCallId(), {}, note);
      }
    }
    replica().loop.BlockOn([] {});
  }

  std::atomic<size_t> not_found_ = 0;
  std::atomic<size_t> others_ = 0;
};

TEST_F(UnknownCalls, AreAskedForByTwoQuestionsHoweverManyTheyAre) {
  Start({}, 2);
  log_->HoldBounds();
  Ask(1000);
  EXPECT_EQ(log_->questions(), 1U);
  const Serving serving = AddWorker(1);
  log_->ReleaseBounds();
  EXPECT_TRUE(Eventually([this] { return not_found_ == 1000U; }));
  EXPECT_EQ(others_, 0U);
  EXPECT_EQ(log_->questions(), 2U) << "the worker that came shares the second one";
  Opened(Chat());
  EXPECT_TRUE(serving.worker->AwaitsCalls(1));
}

TEST_F(UnknownCalls, AreNotAllAskedForWhereTheyAreTooMany) {
  Start({}, 2);
  log_->HoldBounds();
  constexpr size_t kMany = 20'000;
  Ask(kMany);
  EXPECT_EQ(not_found_, 0U);
  ASSERT_GT(others_, kMany / 3) << "they are refused at once";
  EXPECT_EQ(KindOf(replica().Find(RandomCallId())), Kind::kOverloaded);
  log_->ReleaseBounds();
  EXPECT_TRUE(Eventually([this] { return not_found_ + others_ == kMany; }));
  EXPECT_EQ(KindOf(replica().Find(RandomCallId())), Kind::kNotFound);
}

}  // namespace
}  // namespace bridge::calls
