#include "bridge/calls/call.h"

#include <string>

#include <gtest/gtest.h>

#include "bridge/calls/call_record.h"

namespace bridge::calls {
namespace {

// Applies records to a call as a log would hand them over.
class CallTest : public ::testing::Test {
 protected:
  bool Apply(log::Record record) {
    const auto what = ParseCallRecord(record);
    return what.ok() && call_.Apply(*what, {.sequence = ++sequence_, .record = std::move(record), .received = {}});
  }
  bool Claim(uint32_t attempt, const std::string& worker, const std::string& replica = "r1", uint64_t stream = 1) {
    log::v1::CallClaim claim;
    claim.set_stream(stream);
    claim.set_attempt(attempt);
    claim.set_worker(worker);
    claim.set_replica(replica);
    return Apply(ClaimRecord(id_, claim));
  }
  bool Answer(uint32_t attempt, uint64_t index, const std::string& data = "token") {
    return Apply(AnswerRecord(id_, {.attempt = attempt, .index = index}, {.type = "", .data = data, .retry = {}}));
  }
  bool Release(uint32_t attempt) { return Apply(ReleaseRecord(id_, attempt, call_.turn())); }
  bool Stop(StopReason reason = StopReason::kClient) { return Apply(StopRecord(id_, reason, "why")); }
  // By the worker of the attempt, or a replica.
  bool End(uint32_t attempt, EndStatus status = EndStatus::kOk) {
    return Apply(attempt == 0
                     ? EndRecord(id_, {.status = status})
                     : WorkersEndRecord(id_, {.attempt = attempt, .index = call_.next_index()}, {.status = status}));
  }

  static log::v1::CallOpen Open() {
    log::v1::CallOpen open;
    open.set_name("chat");
    open.set_body("hello");
    open.set_replica("r0");
    return open;
  }

  const std::string id_ = RandomCallId();
  uint64_t sequence_ = 7;
  Call call_{id_, 7, Open()};
};

TEST_F(CallTest, IsAnsweredByTheWorkerThatClaimsIt) {
  EXPECT_EQ(call_.replica(), "r0");
  EXPECT_TRUE(Claim(1, "w1"));
  EXPECT_EQ(call_.replica(), "r1");
  EXPECT_TRUE(Answer(1, 0));
  EXPECT_TRUE(Answer(1, 1));
  EXPECT_EQ(call_.next_index(), 2U);
  EXPECT_EQ(call_.answer_bytes(), 10U);
  EXPECT_TRUE(End(1));
  EXPECT_TRUE(call_.is_ended());
  EXPECT_EQ(call_.newest(), 11U);
}

TEST_F(CallTest, IsClaimedOnceAnAttempt) {
  EXPECT_TRUE(Claim(1, "w1"));
  EXPECT_FALSE(Claim(1, "w2", "r2"));
  EXPECT_FALSE(Claim(2, "w2"));
  EXPECT_EQ(call_.worker(), "w1");
}

TEST_F(CallTest, MovesWithItsWorkerToAnotherReplica) {
  EXPECT_TRUE(Claim(1, "w1"));
  EXPECT_TRUE(Answer(1, 0));
  EXPECT_TRUE(Claim(1, "w1", "r2"));
  EXPECT_EQ(call_.replica(), "r2");
  EXPECT_TRUE(Answer(1, 1));
}

TEST_F(CallTest, IsClaimedAgainAfterARelease) {
  EXPECT_TRUE(Claim(1, "w1"));
  EXPECT_TRUE(Release(1));
  EXPECT_FALSE(Claim(1, "w2")) << "an attempt is given out once";
  EXPECT_TRUE(Claim(2, "w2"));
  EXPECT_FALSE(Answer(1, 0)) << "of the attempt that was released";
  EXPECT_TRUE(Answer(2, 0));
}

TEST_F(CallTest, IsNotReleasedAfterAnEvent) {
  EXPECT_TRUE(Claim(1, "w1"));
  EXPECT_TRUE(Answer(1, 0));
  EXPECT_FALSE(Release(1));
  EXPECT_FALSE(Claim(2, "w2"));
}

TEST_F(CallTest, KeepsNoEventTwiceAndNoneBehindAHole) {
  EXPECT_FALSE(Answer(1, 0)) << "nobody has claimed it";
  EXPECT_TRUE(Claim(1, "w1"));
  EXPECT_FALSE(Answer(1, 1));
  EXPECT_TRUE(Answer(1, 0));
  EXPECT_FALSE(Answer(1, 0));
}

TEST_F(CallTest, IsNotEndedByItsWorkerWhereAnEventIsMissing) {
  EXPECT_TRUE(Claim(1, "w1"));
  EXPECT_TRUE(Answer(1, 0));
  EXPECT_FALSE(Apply(WorkersEndRecord(id_, {.attempt = 1, .index = 2}, {.status = EndStatus::kOk})));
  EXPECT_TRUE(Answer(1, 1));
  EXPECT_TRUE(Apply(WorkersEndRecord(id_, {.attempt = 1, .index = 2}, {.status = EndStatus::kOk})));
}

TEST_F(CallTest, IsNotClaimedForAnOlderStreamOfItsWorker) {
  EXPECT_TRUE(Claim(1, "w1", "r1", 7));
  EXPECT_FALSE(Claim(1, "w1", "r2", 6));
  EXPECT_TRUE(Claim(1, "w1", "r1", 7));
  EXPECT_TRUE(Claim(1, "w1", "r2", 8));
  EXPECT_EQ(call_.replica(), "r2");
}

TEST_F(CallTest, IsNotTakenFromAWorkerByAReplicaThatDoesNotKnowWhereItIs) {
  EXPECT_TRUE(Claim(1, "w1"));
  const uint32_t turn = call_.turn();
  EXPECT_TRUE(Claim(1, "w1", "r2", 2));
  EXPECT_FALSE(Apply(ReleaseRecord(id_, 1, turn)));
  EXPECT_FALSE(Apply(EndRecord(id_, {.status = EndStatus::kWorkerLost}, turn)));
  EXPECT_TRUE(Apply(EndRecord(id_, {.status = EndStatus::kWorkerLost}, call_.turn())));
}

TEST_F(CallTest, IsAnsweredOnAfterAStopUntilItsEnd) {
  EXPECT_TRUE(Claim(1, "w1"));
  EXPECT_TRUE(Stop());
  EXPECT_FALSE(Stop(StopReason::kDeadline)) << "the first one counts";
  EXPECT_TRUE(Answer(1, 0));
  EXPECT_TRUE(End(1, EndStatus::kCancelled));
  EXPECT_EQ(call_.end_status(), EndStatus::kCancelled);
}

TEST_F(CallTest, IsNotClaimedAfterAStop) {
  EXPECT_TRUE(Stop());
  EXPECT_FALSE(Claim(1, "w1"));
  EXPECT_TRUE(End(0, EndStatus::kCancelled));
}

TEST_F(CallTest, EndsOnceAndForGood) {
  EXPECT_FALSE(End(1)) << "of a worker that does not have it";
  EXPECT_TRUE(Claim(1, "w1"));
  EXPECT_FALSE(End(2));
  EXPECT_TRUE(End(0, EndStatus::kWorkerLost));
  EXPECT_FALSE(End(1));
  EXPECT_FALSE(Answer(1, 0));
  EXPECT_FALSE(Stop());
  EXPECT_FALSE(Claim(1, "w1", "r2"));
  EXPECT_EQ(call_.end_status(), EndStatus::kWorkerLost);
}

TEST_F(CallTest, GivesItsBodyBackWhenNoWorkerCanGetIt) {
  EXPECT_TRUE(Claim(1, "w1"));
  ASSERT_NE(call_.input(), nullptr);
  EXPECT_EQ(call_.input()->body, "hello");
  EXPECT_TRUE(Answer(1, 0));
  EXPECT_EQ(call_.input(), nullptr);
}

TEST_F(CallTest, IsNotChangedByWhatNoBridgeWrites) {
  const log::v1::CallRecord nothing;
  EXPECT_FALSE(call_.Apply(nothing, {}));
  log::v1::CallRecord stop;
  stop.mutable_stop()->set_reason(99);
  EXPECT_FALSE(call_.Apply(stop, {}));
  log::v1::CallRecord end;
  end.mutable_end()->set_status(99);
  log::Entry entry{.sequence = 9, .record = {}, .received = {}};
  entry.record.data = "{}";
  EXPECT_FALSE(call_.Apply(end, entry));
  EXPECT_FALSE(call_.is_ended());
}

}  // namespace
}  // namespace bridge::calls
