#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/bridge_process.h"
#include "tests/support/publisher.h"
#include "tests/support/sse_client.h"

namespace bridge::test {
namespace {

TEST(MainJob, DeliversWhatABackendPublishesToTheStreamsThatAskForIt) {
  const BridgeProcess bridge;
  Publisher publisher(bridge.grpc_target());
  SseClient orders(bridge.http_port(), "/events?topic=orders.*");
  SseClient everything(bridge.http_port(), "/events?topic=>");
  SseClient other(bridge.http_port(), "/events?topic=orders.eu.*");
  orders.ReadOpen();
  everything.ReadOpen();
  other.ReadOpen();

  PublishCall call(&publisher);
  ASSERT_TRUE(call.Send("first", {TextEvent("orders.1", "one"), TextEvent("orders.2", "two", "update")}));
  const auto ack = call.NextAck();
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->request_id(), "first");
  EXPECT_TRUE(ack->rejected().empty());

  for (SseClient* client : {&orders, &everything}) {
    EXPECT_EQ(client->Next(), (SseEvent{.id = ack->first_id(), .type = "message", .data = "one"}));
    EXPECT_EQ(client->Next(), (SseEvent{.id = ack->last_id(), .type = "update", .data = "two"}));
  }
  EXPECT_EQ(other.NextOwn(absl::Milliseconds(200)), std::nullopt);

  call.HalfClose();
  EXPECT_TRUE(call.Finish().ok());
}

TEST(MainJob, ResumesAfterCutWithoutLossOrRepeat) {
  const BridgeProcess bridge;
  Publisher publisher(bridge.grpc_target());
  constexpr int kEvents = 300;
  std::string last_id;
  std::vector<std::string> received;
  int published = 0;
  while (received.size() < kEvents) {
    SseClient client(bridge.http_port(), "/events?topic=a.*", last_id);
    last_id = client.ReadOpen();
    for (int i = 0; i < 30; ++i) {
      publisher.Publish(TextEvent(absl::StrCat("a.", published % 3), absl::StrCat(published)));
      ++published;
    }
    // Takes a part of them, and is cut in the middle.
    for (int i = 0; i < 20 && received.size() < kEvents; ++i) {
      const auto event = client.NextOwn();
      ASSERT_TRUE(event);
      received.push_back(event->data);
      last_id = event->id;
    }
    client.connection().Reset();
  }
  for (int i = 0; i < kEvents; ++i) {
    ASSERT_EQ(received[static_cast<size_t>(i)], absl::StrCat(i));
  }
}

TEST(MainJob, StreamThatWasCutBeforeItsFirstEventResumesFromBridgeOpen) {
  const BridgeProcess bridge;
  Publisher publisher(bridge.grpc_target());
  publisher.Publish(TextEvent("a", "before"));
  std::string id;
  {
    SseClient client(bridge.http_port(), "/events?topic=a");
    id = client.ReadOpen();
  }
  publisher.Publish(TextEvent("a", "while away"));
  SseClient client(bridge.http_port(), "/events?topic=a", id);
  EXPECT_EQ(client.ReadOpen(), id);
  EXPECT_EQ(client.NextData(1), std::vector<std::string>{"while away"});
}

}  // namespace
}  // namespace bridge::test
