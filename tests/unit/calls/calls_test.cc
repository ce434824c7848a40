// What a browser asks of calls: to open, read and cancel them, and what ends them.
#include "bridge/calls/calls.h"

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/unit/calls/calls_fixture.h"

namespace bridge::calls {
namespace {

using test::Eventually;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Kind = Calls::Refusal::Kind;

TEST_F(CallsTest, IsAnsweredByAWorker) {
  Start();
  Serving serving = AddWorker(1);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  const AssignedCall given = serving.worker->calls()[0];
  EXPECT_EQ(given.id, call.id);
  EXPECT_EQ(given.body, "hello");
  EXPECT_GT(given.timeout, absl::Minutes(9));
  serving.Send(call.id, 0, {"a", "b"});
  EXPECT_TRUE(serving.worker->AwaitsAck(2));
  serving.End(call.id, 2);
  EXPECT_TRUE(replica().AwaitsEnd(call.id, "ok"));
  const std::vector<std::string> answer = replica().Answer(call.id);
  ASSERT_EQ(answer.size(), 3U);
  EXPECT_EQ(answer[0], "a");
  EXPECT_EQ(answer[1], "b");
  EXPECT_THAT(answer[2], HasSubstr(R"("usage":{"output_tokens":2)"));
  EXPECT_EQ(replica().calls->metrics().open.value(), 0U);
}

TEST_F(CallsTest, IsRefusedWhereNobodyServesIt) {
  Start();
  EXPECT_EQ(KindOf(replica().Open(Chat())), Kind::kNoWorker);
}

TEST_F(CallsTest, WaitsForAWorkerThatIsFree) {
  Start({.queue_timeout = absl::Milliseconds(300)});
  Serving serving = AddWorker(1);
  const Calls::View first = Opened(Chat());
  const Calls::View second = Opened(Chat());
  const Calls::View third = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  serving.End(first.id, 0);
  ASSERT_TRUE(serving.worker->AwaitsCalls(2));
  EXPECT_EQ(serving.worker->calls()[1].id, second.id);
  EXPECT_TRUE(replica().AwaitsEnd(third.id, "no_worker"));
}

TEST_F(CallsTest, IsCancelledByItsOwnerAlone) {
  Start({.cancel_timeout = absl::Seconds(20)});
  Serving serving = AddWorker(1);
  CallRequest request = Chat();
  request.owner = {.issuer = "id", .subject = "ann"};
  const Calls::View call = Opened(std::move(request));
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  EXPECT_EQ(KindOf(replica().Cancel(call.id)), Kind::kNotFound);
  EXPECT_EQ(KindOf(replica().Find(call.id, {.issuer = "id", .subject = "bob"})), Kind::kNotFound);
  const Owner ann = {.issuer = "id", .subject = "ann"};
  EXPECT_TRUE(std::holds_alternative<Calls::View>(replica().Cancel(call.id, ann)));
  ASSERT_TRUE(serving.worker->AwaitsStop(StopReason::kClient));
  serving.Send(call.id, 0, {"last"});
  serving.End(call.id, 1);
  EXPECT_TRUE(replica().AwaitsEnd(call.id, "cancelled"));
  EXPECT_THAT(replica().Answer(call.id).back(), HasSubstr("output_tokens"));
}

TEST_F(CallsTest, EndsWhereAWorkerDoesNotHeedItsCancel) {
  Start({.cancel_timeout = absl::Milliseconds(100)});
  Serving serving = AddWorker(1);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  replica().Cancel(call.id);
  EXPECT_TRUE(replica().AwaitsEnd(call.id, "cancelled"));
  serving.Send(call.id, 0, {"late"});
  EXPECT_TRUE(serving.worker->AwaitsAck(0, absl::StatusCode::kAborted));
}

TEST_F(CallsTest, IsAbandonedWhenNobodyReadsIt) {
  Start({.grace = absl::Milliseconds(100)});
  Serving serving = AddWorker(1);
  std::string id;
  {
    const Calls::View call = Opened(Chat());
    id = call.id;
    ASSERT_TRUE(serving.worker->AwaitsCalls(1));
    absl::SleepFor(absl::Milliseconds(300));  // it is read all the time
    EXPECT_THAT(serving.worker->stops(), IsEmpty());
  }
  EXPECT_TRUE(serving.worker->AwaitsStop(StopReason::kAbandoned));
  serving.End(id, 0);
  EXPECT_TRUE(replica().AwaitsEnd(id, "abandoned"));
}

TEST_F(CallsTest, GoesOnWhereItsReaderComesBackInTime) {
  Start({.grace = absl::Seconds(30)});
  Serving serving = AddWorker(1);
  const std::string id = Opened(Chat()).id;
  const Calls::Outcome again = replica().Find(id, {}, Calls::Access::kRead);
  ASSERT_TRUE(std::holds_alternative<Calls::View>(again));
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  serving.End(id, 0);
  EXPECT_TRUE(replica().AwaitsEnd(id, "ok"));
}

TEST_F(CallsTest, StopsAtOnceWhereTheRequestSaysSo) {
  Start();
  const Serving serving = AddWorker(1);
  CallRequest request = Chat();
  request.on_disconnect = OnDisconnect::kCancel;
  Opened(std::move(request));
  EXPECT_TRUE(serving.worker->AwaitsStop(StopReason::kAbandoned));
}

TEST_F(CallsTest, GoesOnUnreadWhereTheRequestSaysSo) {
  Start({.grace = absl::Milliseconds(50)});
  Serving serving = AddWorker(1);
  CallRequest request = Chat();
  request.on_disconnect = OnDisconnect::kContinue;
  const std::string id = Opened(std::move(request)).id;
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  absl::SleepFor(absl::Milliseconds(300));  // several times the grace
  EXPECT_THAT(serving.worker->stops(), IsEmpty());
  serving.End(id, 0);
  EXPECT_TRUE(replica().AwaitsEnd(id, "ok"));
}

TEST_F(CallsTest, EndsAtItsDeadlines) {
  Start({.first_event_timeout = absl::Milliseconds(100),
         .idle_timeout = absl::Milliseconds(100),
         .cancel_timeout = absl::Milliseconds(50)});
  Serving serving = AddWorker(10);
  CallRequest brief = Chat();
  brief.timeout = absl::Milliseconds(50);
  const Calls::View too_long = Opened(std::move(brief));
  EXPECT_TRUE(replica().AwaitsEnd(too_long.id, "deadline"));
  const Calls::View silent = Opened(Chat());
  EXPECT_TRUE(replica().AwaitsEnd(silent.id, "deadline"));
  EXPECT_THAT(replica().Answer(silent.id).back(), HasSubstr("first_event_timeout"));
  const Calls::View stuck = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(3));
  serving.Send(stuck.id, 0, {"a"});
  EXPECT_TRUE(replica().AwaitsEnd(stuck.id, "deadline"));
  EXPECT_THAT(replica().Answer(stuck.id).back(), HasSubstr("idle_timeout"));
}

TEST_F(CallsTest, IsCutWhereItsAnswerIsTooLarge) {
  Start({.cancel_timeout = absl::Milliseconds(50), .answer_bytes_max = 10});
  Serving serving = AddWorker(1);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  serving.Send(call.id, 0, {"12345", "12345", "1"});
  EXPECT_TRUE(serving.worker->AwaitsStop(StopReason::kLimit));
  EXPECT_TRUE(replica().AwaitsEnd(call.id, "limit"));
  EXPECT_EQ(replica().Answer(call.id).size(), 3U);
}

TEST_F(CallsTest, IsJoinedByItsIdempotencyKey) {
  Start();
  const Serving serving = AddWorker(2);
  CallRequest request = Chat();
  request.idempotency_key = "once";
  const Calls::View first = Opened(request);
  const Calls::View second = Opened(request);
  EXPECT_EQ(first.id, second.id);
  EXPECT_TRUE(second.is_joined);
  CallRequest other_body = request;
  other_body.body = "something else";
  EXPECT_EQ(KindOf(replica().Open(other_body)), Kind::kOtherBody);
  CallRequest other_owner = request;
  other_owner.owner = {.issuer = "id", .subject = "ann"};
  EXPECT_NE(Opened(other_owner).id, first.id);
}

TEST_F(CallsTest, IsAnotherCallWhenItsKeyIsOld) {
  Start({.history = absl::Milliseconds(100)});
  Serving serving = AddWorker(2);
  CallRequest request = Chat();
  request.idempotency_key = "once";
  const Calls::View first = Opened(request);
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  serving.End(first.id, 0);
  ASSERT_TRUE(replica().AwaitsEnd(first.id, "ok"));
  EXPECT_TRUE(Eventually([&] { return Opened(request).id != first.id; }));
  EXPECT_TRUE(std::holds_alternative<Calls::View>(replica().Find(first.id))) << "its answer can still be read";
}

TEST_F(CallsTest, HasLimitsPerSubjectAndAddressAndInAll) {
  Start({.open_max = 4, .calls_per_subject = 1, .calls_per_address = 2});
  Serving serving = AddWorker(10);
  CallRequest ann = Chat();
  ann.owner = {.issuer = "id", .subject = "ann"};
  const Calls::View first = Opened(ann);
  EXPECT_EQ(KindOf(replica().Open(ann)), Kind::kSubjectFull);
  CallRequest there = Chat();
  there.address = "192.0.2.1";
  const Calls::View second = Opened(there);
  const Calls::View third = Opened(there);
  EXPECT_EQ(KindOf(replica().Open(there)), Kind::kAddressFull);
  const Calls::View fourth = Opened(Chat());
  EXPECT_EQ(KindOf(replica().Open(Chat())), Kind::kOverloaded);
  ASSERT_TRUE(serving.worker->AwaitsCalls(4));
  serving.End(first.id, 0);
  ASSERT_TRUE(replica().AwaitsEnd(first.id, "ok"));
  Opened(ann);
}

TEST_F(CallsTest, HasLimitsOfReadersAndOfRoom) {
  Start({.readers_per_call = 2, .log_bytes_max = 2000});
  const Serving serving = AddWorker(10);
  const Calls::View call = Opened(Chat());
  const Calls::Outcome second = replica().Find(call.id, {}, Calls::Access::kRead);
  EXPECT_EQ(KindOf(replica().Find(call.id, {}, Calls::Access::kRead)), Kind::kReadersFull);
  EXPECT_EQ(KindOf(replica().Open(Chat(std::string(3000, 'x')))), Kind::kOverloaded);
}

TEST_F(CallsTest, EndsWhereAllAnswersTogetherTakeTooMuchRoom) {
  Start({.cancel_timeout = absl::Milliseconds(50), .log_bytes_max = 20'000});
  Serving serving = AddWorker(1);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  const std::string token(1000, 'x');
  for (uint64_t index = 0; index < 40 && serving.worker->stops().empty(); ++index) {
    serving.Send(call.id, index, {token});
    EXPECT_TRUE(
        Eventually([&] { return replica().Answer(call.id).size() > index || !serving.worker->stops().empty(); }));
  }
  EXPECT_TRUE(serving.worker->AwaitsStop(StopReason::kLimit));
  EXPECT_TRUE(replica().AwaitsEnd(call.id, "limit"));
  EXPECT_THAT(replica().Answer(call.id).back(), HasSubstr("calls.log.max_bytes"));
  // All that it has got is kept, a little over the bound.
  EXPECT_GT(replica().Answer(call.id).size(), 20U);
  EXPECT_EQ(KindOf(replica().Open(Chat())), Kind::kOverloaded);
}

TEST_F(CallsTest, GivesItsKeyAwayByTheTimesInTheLog) {
  Start({.history = absl::Minutes(10)});
  const Serving serving = AddWorker(0);
  CallRequest request = Chat();
  request.idempotency_key = "once";
  const auto write_open = [&](const std::string& id, absl::Time time) {
    log::Record record = OpenRecord(id, request, "another");
    record.time = time;
    Write(std::move(record));
  };
  const absl::Time begin = absl::Now() - absl::Minutes(20);
  const std::string first = RandomCallId();
  write_open(first, begin);
  log::Record end = EndRecord(first, {.status = EndStatus::kNoWorker});
  end.time = begin + absl::Minutes(1);
  Write(std::move(end));
  const std::string too_early = RandomCallId();
  write_open(too_early, begin + absl::Minutes(10));
  const std::string second = RandomCallId();
  write_open(second, begin + absl::Minutes(12));
  EXPECT_EQ(KindOf(replica().Find(too_early)), Kind::kNotFound);
  EXPECT_TRUE(std::holds_alternative<Calls::View>(replica().Find(second)));
  EXPECT_TRUE(std::holds_alternative<Calls::View>(replica().Find(first)));
  EXPECT_EQ(Opened(request).id, second);
}

TEST_F(CallsTest, IsForgottenSomeTimeAfterItsEnd) {
  Start({.max_duration = absl::Milliseconds(300), .history = absl::Milliseconds(100)});
  Serving serving = AddWorker(1);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  serving.End(call.id, 0);
  ASSERT_TRUE(replica().AwaitsEnd(call.id, "ok"));
  EXPECT_TRUE(Eventually([&] { return KindOf(replica().Find(call.id)) == Kind::kNotFound; }));
  EXPECT_EQ(replica().calls->metrics().log_bytes.value(), 0U);
}

TEST_F(CallsTest, AreEndedByADrainAtTheEndOfItsWindow) {
  Start();
  Serving serving = AddWorker(2);
  const Calls::View first = Opened(Chat());
  const Calls::View second = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(2));
  absl::Notification drained;
  replica().calls->Drain(absl::Milliseconds(300), [&] { drained.Notify(); });
  EXPECT_EQ(KindOf(replica().Open(Chat())), Kind::kDraining);
  serving.End(first.id, 0);
  EXPECT_TRUE(replica().AwaitsEnd(first.id, "ok"));
  EXPECT_TRUE(serving.worker->AwaitsStop(StopReason::kLost));
  EXPECT_TRUE(replica().AwaitsEnd(second.id, "lost"));
  drained.WaitForNotification();
}

TEST_F(CallsTest, AreLeftAsTheyAreByADrainWhereTheLogOutlivesIt) {
  Start({.grace = absl::Milliseconds(100),
         .queue_timeout = absl::Milliseconds(100),
         .worker_grace = absl::Milliseconds(100),
         .is_log_durable = true});
  Serving serving = AddWorker(2);
  CallRequest brief = Chat();
  brief.on_disconnect = OnDisconnect::kCancel;
  std::vector<Calls::View> calls;
  calls.push_back(Opened(Chat()));
  calls.push_back(Opened(std::move(brief)));
  ASSERT_TRUE(serving.worker->AwaitsCalls(2));
  for (const Calls::View& call : calls) {
    serving.Send(call.id, 0, {"a"});
  }
  calls.push_back(Opened(Chat()));  // it waits
  replica().calls->Drain(absl::Seconds(20), [] {});
  serving.calls->RemoveWorker(serving.handle, Calls::Leave::kBroken);
  std::vector<std::string> ids;
  for (Calls::View& call : calls) {
    ids.push_back(call.id);
    call.reader = {};
  }
  const uint64_t newest = NewestInLog();
  absl::SleepFor(absl::Seconds(1));  // ten times what each may take
  EXPECT_EQ(NewestInLog(), newest);
  for (const std::string& id : ids) {
    const Calls::Outcome found = replica().Find(id);
    ASSERT_TRUE(std::holds_alternative<Calls::View>(found));
    EXPECT_FALSE(std::get<Calls::View>(found).end.has_value());
  }
}

TEST_F(CallsTest, AreLostWithTheirLogAndNewOnesAreMade) {
  Start();
  const Serving serving = AddWorker(1);
  const Calls::View call = Opened(Chat());
  const Calls::View waits = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  fan_out_->OnEpoch(/*epoch=*/99, /*head=*/2);
  fan_out_->OnCaughtUp();
  EXPECT_TRUE(serving.worker->AwaitsStop(StopReason::kLost));
  EXPECT_EQ(KindOf(replica().Find(call.id)), Kind::kNotFound);
  EXPECT_EQ(KindOf(replica().Find(waits.id)), Kind::kNotFound);
  EXPECT_EQ(replica().calls->metrics().open.value(), 0U);
  const Calls::View next = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(2));
  EXPECT_EQ(serving.worker->calls()[1].id, next.id);
  EXPECT_EQ(next.opened.epoch, 99U);
}

TEST_F(CallsTest, AreNotLeftByReadersThatTheyHadBeforeTheyWereFollowedAnew) {
  // Handed over by the test: the same again, as a store that has lost its end does.
  log_ = std::make_unique<LossyLog>(std::make_unique<log::MemoryLog>(log::MemoryLog::Options{}));
  replicas_.push_back(std::make_unique<Replica>(log_.get(), Calls::Options{.readers_per_call = 1}));
  Calls& calls = *replica().calls;
  const std::string id = RandomCallId();
  const log::Entry opened{.sequence = 1, .record = OpenRecord(id, Chat(), "another"), .received = {}};
  const auto hand_over = [&] {
    calls.OnEpoch(1, 0);
    calls.OnEntries(absl::MakeConstSpan(&opened, 1));
    calls.OnCaughtUp();
  };
  hand_over();
  std::optional<Calls::Outcome> before = replica().Find(id, {}, Calls::Access::kRead);
  ASSERT_TRUE(std::holds_alternative<Calls::View>(*before));
  hand_over();
  std::optional<Calls::Outcome> after = replica().Find(id, {}, Calls::Access::kRead);
  ASSERT_TRUE(std::holds_alternative<Calls::View>(*after));
  before.reset();
  EXPECT_EQ(KindOf(replica().Find(id, {}, Calls::Access::kRead)), Kind::kReadersFull);
  after.reset();
  EXPECT_TRUE(std::holds_alternative<Calls::View>(replica().Find(id, {}, Calls::Access::kRead)));
}

TEST_F(CallsTest, AreLostWhereTheLogHasTrimmedThem) {
  Start();
  const Serving serving = AddWorker(1);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  fan_out_->OnGap(NewestInLog(), log::Follower::Missing::kTrimmed);
  EXPECT_TRUE(serving.worker->AwaitsStop(StopReason::kLost));
  EXPECT_EQ(KindOf(replica().Find(call.id)), Kind::kNotFound);
  const Calls::View next = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(2));
  EXPECT_EQ(serving.worker->calls()[1].id, next.id);
}

TEST_F(CallsTest, GoOnWhereARecordBesideTheirsIsUnreadable) {
  Start();
  Serving serving = AddWorker(1);
  const Calls::View call = Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  fan_out_->OnGap(NewestInLog(), log::Follower::Missing::kUnreadable);
  serving.End(call.id, 0);
  EXPECT_TRUE(replica().AwaitsEnd(call.id, "ok"));
}

TEST_F(CallsTest, IsCaughtUpWithWhenWhatCameBeforeHasBeenTaken) {
  // Handed over by the test, to one whose answers stall.
  log_ = std::make_unique<LossyLog>(std::make_unique<log::MemoryLog>(log::MemoryLog::Options{}));
  replicas_.push_back(std::make_unique<Replica>(log_.get(), Calls::Options()));
  Calls& calls = *replica().calls;
  uint64_t sequence = 0;
  const auto hand_over = [&](log::Record record) {
    const log::Entry entry{.sequence = ++sequence, .record = std::move(record), .received = {}};
    calls.OnEntries(absl::MakeConstSpan(&entry, 1));
  };
  const std::string first = RandomCallId();
  const std::string second = RandomCallId();
  replica().answers.StallAt(1);
  calls.OnEpoch(1, 0);
  hand_over(OpenRecord(first, Chat(), "another"));
  hand_over(EndRecord(first, {.status = EndStatus::kNoWorker}));
  hand_over(OpenRecord(second, Chat(), "another"));
  calls.OnCaughtUp();
  EXPECT_EQ(KindOf(replica().Open(Chat())), Kind::kStarting);
  EXPECT_EQ(KindOf(replica().Find(second)), Kind::kNotFound);
  replica().answers.NeverStall();
  calls.ResumeAnswers();
  EXPECT_EQ(KindOf(replica().Open(Chat())), Kind::kNoWorker);
  EXPECT_TRUE(std::holds_alternative<Calls::View>(replica().Find(second)));
}

TEST_F(CallsTest, CountsNoTimeInWhichTheProcessStoodStill) {
  Start({.grace = absl::Seconds(3)});
  const Serving serving = AddWorker(1);
  Opened(Chat());
  ASSERT_TRUE(serving.worker->AwaitsCalls(1));
  replica().loop.BlockOn([] { absl::SleepFor(absl::Seconds(3)); });  // as one that was stopped does
  absl::SleepFor(absl::Milliseconds(100));                           // its timers have fired since then
  EXPECT_THAT(serving.worker->stops(), IsEmpty());
  EXPECT_TRUE(serving.worker->AwaitsStop(StopReason::kAbandoned));
}

}  // namespace
}  // namespace bridge::calls
