#include "bridge/rpc/ack_queue.h"

#include <cstdint>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bridge::rpc {
namespace {

using ::testing::ElementsAre;

v1::Ack AckOf(const std::string& request_id) {
  v1::Ack ack;
  ack.set_request_id(request_id);
  return ack;
}

std::vector<std::string> Moved(AckQueue& queue) {
  v1::PublishResponse response;
  queue.MoveReadyTo(&response);
  std::vector<std::string> ids;
  for (const v1::Ack& ack : response.acks()) {
    ids.push_back(ack.request_id());
  }
  return ids;
}

TEST(AckQueueTest, AcksGoOutInRequestOrder) {
  AckQueue queue;
  const uint64_t a = queue.Push(1, 100);
  const uint64_t b = queue.Push(2, 100);
  const uint64_t c = queue.Push(3, 100);
  queue.Complete(b, AckOf("b"));
  EXPECT_THAT(Moved(queue), ElementsAre());
  queue.Complete(a, AckOf("a"));
  EXPECT_THAT(Moved(queue), ElementsAre("a", "b"));
  EXPECT_EQ(queue.events(), 3U);
  queue.Complete(c, AckOf("c"));
  EXPECT_THAT(Moved(queue), ElementsAre("c"));
  EXPECT_TRUE(queue.empty());
}

TEST(AckQueueTest, WhatGetsNoAckAndWhatIsBehindItGoWithoutAWord) {
  AckQueue queue;
  const uint64_t a = queue.Push(1, 100);
  const uint64_t b = queue.Push(1, 100);
  const uint64_t c = queue.Push(1, 100);
  queue.EndAcksBefore(b);
  queue.EndAcksBefore(c);
  queue.Complete(c, AckOf("c"));
  queue.Complete(b, AckOf("b"));
  EXPECT_THAT(Moved(queue), ElementsAre());
  EXPECT_FALSE(queue.empty());
  queue.Complete(a, AckOf("a"));
  EXPECT_THAT(Moved(queue), ElementsAre("a"));
  EXPECT_TRUE(queue.empty());
  queue.NoteWritten();
  EXPECT_EQ(queue.bytes(), 0U);
}

TEST(AckQueueTest, WhatIsBeingWrittenCountsUntilItIsWritten) {
  AckQueue queue;
  const uint64_t ack_bytes = queue.Complete(queue.Push(1, 100), AckOf("a"));
  EXPECT_GT(ack_bytes, 0U);
  EXPECT_EQ(queue.bytes(), 100 + ack_bytes);
  Moved(queue);
  EXPECT_EQ(queue.bytes(), 100 + ack_bytes);
  EXPECT_EQ(queue.ack_bytes(), ack_bytes);
  EXPECT_EQ(queue.NoteWritten(), ack_bytes);
  EXPECT_EQ(queue.bytes(), 0U);
  EXPECT_EQ(queue.ack_bytes(), 0U);
}

TEST(AckQueueTest, OneResponseHasNoMoreThanASlowPublisherTakesInTime) {
  AckQueue queue;
  const std::string large(100'000, 'x');
  for (int i = 0; i < 10; ++i) {
    queue.Complete(queue.Push(1, 0), AckOf(large));
  }
  EXPECT_EQ(Moved(queue).size(), 3U);
}

TEST(AckQueueTest, ReadyAcksThatNobodyWillReadAreDropped) {
  AckQueue queue;
  const uint64_t a = queue.Push(1, 100);
  const uint64_t b = queue.Push(1, 100);
  const uint64_t dropped = queue.Complete(a, AckOf("a"));
  EXPECT_EQ(queue.DropReady(), dropped);
  EXPECT_EQ(queue.bytes(), 100U) << "what the log still has to answer";
  EXPECT_EQ(queue.Complete(b, AckOf("b")), queue.DropReady());
  EXPECT_EQ(queue.bytes(), 0U);
  EXPECT_TRUE(queue.empty());
}

}  // namespace
}  // namespace bridge::rpc
