#include "bridge/rpc/worker_outbox.h"

#include <cstdint>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace bridge::rpc {
namespace {

using calls::StopReason;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

calls::AssignedCall CallOf(const std::string& id, size_t body_bytes = 0) {
  calls::AssignedCall call;
  call.id = id;
  call.attempt = 1;
  call.body = std::string(body_bytes, 'b');
  return call;
}

calls::CallAck AckOf(const std::string& id, uint64_t next_index, absl::Status status = absl::OkStatus()) {
  calls::CallAck ack;
  ack.id = id;
  ack.attempt = 1;
  ack.next_index = next_index;
  ack.status = std::move(status);
  return ack;
}

// What goes into the next response, as words: "call a", "cancel a 2", "ack a 3", with the code where it is not OK.
std::vector<std::string> Next(WorkerOutbox& outbox) {
  v1::PublishResponse response;
  outbox.MoveTo(&response);
  std::vector<std::string> told;
  if (response.has_serving()) {
    told.push_back(absl::StrCat("serving ", response.serving().rejected_size()));
  }
  for (const v1::CallCancel& cancel : response.cancels()) {
    told.push_back(absl::StrCat("cancel ", cancel.call_id(), " ", static_cast<int>(cancel.reason())));
  }
  for (const v1::Call& call : response.calls()) {
    told.push_back(absl::StrCat("call ", call.call_id()));
  }
  for (const v1::CallAck& ack : response.call_acks()) {
    told.push_back(absl::StrCat("ack ", ack.call_id(), " ", ack.next_index(),
                                ack.code() == 0 ? "" : absl::StrCat(" code ", ack.code())));
  }
  return told;
}

TEST(WorkerOutboxTest, TellsAllOfACall) {
  WorkerOutbox outbox;
  calls::AssignedCall call = CallOf("a");
  call.attempt = 2;
  call.name = "chat";
  call.body = std::string("\0\xff", 2);
  call.content_type = "text/plain";
  call.subject = "ann";
  call.metadata = {{"x-tenant", "t"}};
  call.timeout = absl::Milliseconds(1500);
  outbox.PutCall(std::move(call));
  v1::PublishResponse response;
  ASSERT_TRUE(outbox.MoveTo(&response));
  ASSERT_EQ(response.calls_size(), 1);
  const v1::Call& told = response.calls(0);
  EXPECT_EQ(told.call_id(), "a");
  EXPECT_EQ(told.attempt(), 2U);
  EXPECT_EQ(told.name(), "chat");
  EXPECT_EQ(told.body(), std::string("\0\xff", 2));
  EXPECT_EQ(told.content_type(), "text/plain");
  EXPECT_EQ(told.subject(), "ann");
  EXPECT_EQ(told.metadata().at("x-tenant"), "t");
  EXPECT_EQ(told.timeout().seconds(), 1);
  EXPECT_EQ(told.timeout().nanos(), 500'000'000);
}

TEST(WorkerOutboxTest, CancelsGoOutBeforeCalls) {
  WorkerOutbox outbox;
  outbox.PutCall(CallOf("b"));
  outbox.PutStop("a", 1, StopReason::kClient);
  EXPECT_THAT(Next(outbox), ElementsAre("cancel a 1", "call b"));
  EXPECT_TRUE(outbox.empty());
}

TEST(WorkerOutboxTest, TheCancelOfACallThatHasNotBeenToldComesBehindIt) {
  WorkerOutbox outbox;
  outbox.PutCall(CallOf("a"));
  outbox.PutStop("a", 1, StopReason::kAbandoned);
  outbox.PutStop("a", 1, StopReason::kDeadline);
  EXPECT_THAT(Next(outbox), ElementsAre("call a"));
  EXPECT_FALSE(outbox.empty());
  EXPECT_THAT(Next(outbox), ElementsAre("cancel a 2"));
  outbox.PutStop("a", 1, StopReason::kLimit);
  EXPECT_THAT(Next(outbox), ElementsAre("cancel a 4"));
}

TEST(WorkerOutboxTest, OneResponseHasAtMostAMebibyteOfCallsOrOneThatIsLarger) {
  WorkerOutbox outbox;
  for (const char* const id : {"a", "b", "c", "d"}) {
    outbox.PutCall(CallOf(id, 400 << 10));
  }
  outbox.PutCall(CallOf("large", 3 << 20));
  outbox.PutCall(CallOf("e"));
  EXPECT_THAT(Next(outbox), ElementsAre("call a", "call b"));
  EXPECT_THAT(Next(outbox), ElementsAre("call c", "call d"));
  EXPECT_THAT(Next(outbox), ElementsAre("call large"));
  EXPECT_THAT(Next(outbox), ElementsAre("call e"));
  EXPECT_THAT(Next(outbox), IsEmpty());
}

TEST(WorkerOutboxTest, ManyCancelsKeepTheCallsBack) {
  WorkerOutbox outbox;
  for (int i = 0; i < 10'000; ++i) {
    outbox.PutStop(absl::StrCat("a call of some length ", i), 1, StopReason::kClient);
  }
  outbox.PutCall(CallOf("b"));
  size_t cancels = 0;
  std::vector<std::string> told = Next(outbox);
  while (!outbox.empty()) {
    EXPECT_THAT(told, Each(StartsWith("cancel")));
    cancels += told.size();
    told = Next(outbox);
  }
  EXPECT_EQ(told.back(), "call b");
  EXPECT_EQ(cancels + told.size() - 1, 10'000U);
}

TEST(WorkerOutboxTest, OfTheAcksOfACallTheNewestIsTold) {
  WorkerOutbox outbox;
  EXPECT_GT(outbox.PutAck(AckOf("a", 1)), 0U);
  outbox.PutAck(AckOf("b", 1));
  EXPECT_EQ(outbox.PutAck(AckOf("a", 2)), 0U) << "it takes no room";
  outbox.PutAck(AckOf("a", 3));
  EXPECT_THAT(Next(outbox), ElementsAre("ack a 3", "ack b 1"));
  outbox.PutAck(AckOf("a", 4));
  EXPECT_THAT(Next(outbox), ElementsAre("ack a 4"));
}

TEST(WorkerOutboxTest, AttemptsOfACallAreAckedApart) {
  WorkerOutbox outbox;
  outbox.PutAck(AckOf("a", 1));
  calls::CallAck second = AckOf("a", 7);
  second.attempt = 2;
  outbox.PutAck(std::move(second));
  outbox.PutAck(AckOf("a", 2));
  EXPECT_THAT(Next(outbox), ElementsAre("ack a 2", "ack a 7"));
}

TEST(WorkerOutboxTest, EveryErrorIsToldInOrder) {
  WorkerOutbox outbox;
  outbox.PutAck(AckOf("a", 1));
  outbox.PutAck(AckOf("a", 2, absl::InvalidArgumentError("bad")));
  outbox.PutAck(AckOf("a", 2, absl::OutOfRangeError("hole")));
  outbox.PutAck(AckOf("a", 3));
  outbox.PutAck(AckOf("a", 4));
  EXPECT_THAT(Next(outbox), ElementsAre("ack a 1", "ack a 2 code 3", "ack a 2 code 11", "ack a 4"));
}

TEST(WorkerOutboxTest, EachServeIsAnsweredInAResponseOfItsOwn) {
  WorkerOutbox outbox;
  v1::Serving refused;
  refused.add_rejected()->set_index(0);
  outbox.PutServing(std::move(refused));
  outbox.PutServing({});
  outbox.PutCall(CallOf("a"));
  EXPECT_THAT(Next(outbox), ElementsAre("serving 1", "call a"));
  EXPECT_THAT(Next(outbox), ElementsAre("serving 0"));
}

TEST(WorkerOutboxTest, WhatIsBeingWrittenCountsUntilItIsWritten) {
  WorkerOutbox outbox;
  uint64_t bytes = outbox.PutCall(CallOf("a", 1000));
  EXPECT_GT(bytes, 1000U);
  bytes += outbox.PutStop("a", 1, StopReason::kClient);
  const uint64_t ack_bytes = outbox.PutAck(AckOf("a", 1));
  EXPECT_EQ(outbox.bytes(), bytes + ack_bytes);
  Next(outbox);
  EXPECT_EQ(outbox.bytes(), bytes + ack_bytes);
  uint64_t written = outbox.NoteWritten();
  EXPECT_EQ(outbox.bytes(), bytes + ack_bytes - written);
  Next(outbox);
  written += outbox.NoteWritten();
  EXPECT_EQ(written, bytes + ack_bytes);
  EXPECT_EQ(outbox.bytes(), 0U);
}

TEST(WorkerOutboxTest, CallsThatNobodyWillDoAreDroppedAndTheRestIsTold) {
  WorkerOutbox outbox;
  uint64_t bytes = outbox.PutCall(CallOf("a", 1000));
  bytes += outbox.PutStop("a", 1, StopReason::kClient);
  const uint64_t ack_bytes = outbox.PutAck(AckOf("b", 1));
  EXPECT_EQ(outbox.DropCalls(), bytes);
  EXPECT_EQ(outbox.bytes(), ack_bytes);
  EXPECT_THAT(Next(outbox), ElementsAre("ack b 1"));
  EXPECT_EQ(outbox.DropAll(), 0U);
  EXPECT_EQ(outbox.NoteWritten(), ack_bytes);
  const uint64_t more = outbox.PutCall(CallOf("c"));
  EXPECT_EQ(outbox.DropAll(), more);
  EXPECT_EQ(outbox.bytes(), 0U);
  EXPECT_TRUE(outbox.empty());
}

}  // namespace
}  // namespace bridge::rpc
