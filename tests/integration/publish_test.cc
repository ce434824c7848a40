#include <atomic>
#include <cmath>
#include <functional>
#include <thread>
#include <utility>

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/bridge_process.h"
#include "tests/support/publisher.h"
#include "tests/support/sse_client.h"

namespace bridge::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class Publish : public ::testing::Test {
 protected:
  v1::Rejection RejectionOf(const v1::Event& event) {
    const v1::Ack ack = publisher_.Publish({TextEvent("good", "1"), event, TextEvent("good", "2")});
    EXPECT_EQ(ack.rejected_size(), 1);
    EXPECT_FALSE(ack.first_id().empty());
    EXPECT_NE(ack.first_id(), ack.last_id());
    return ack.rejected_size() == 1 ? ack.rejected(0) : v1::Rejection();
  }

  // Sends `request` again and again, and reads no ack. A closed loop would deadlock if acks were needed to write on; so
  // much is taken, within a bound of memory, and then gRPC's flow control holds the writer.
  void ExpectThatNotAllIsTaken(const v1::PublishRequest& request) {
    constexpr int kSendsMax = 2'000'000;
    PublishCall call(&publisher_);
    std::atomic<int> sent{0};
    std::thread writer([&] {
      while (sent < kSendsMax && call.Send(request)) {
        ++sent;
      }
    });
    int before = -1;
    EXPECT_TRUE(Eventually(
        [&] {
          const int now = sent;
          absl::SleepFor(absl::Milliseconds(500));  // whether it goes on is seen by then
          return std::exchange(before, now) == now && now > 0;
        },
        absl::Seconds(30)));
    EXPECT_LT(sent, kSendsMax);
    if (CanMeasureMemory()) {
      EXPECT_LT(bridge_.ResidentBytes(), uint64_t{100} << 20);
    }
    call.Cancel();
    writer.join();
    EXPECT_FALSE(call.Finish().ok());
  }

  BridgeProcess bridge_{{"http.max_frame_bytes=2KiB", "grpc.max_request_bytes=64KiB", "log.idempotency_window=1s"}};
  Publisher publisher_{bridge_.grpc_target()};
};

struct BadEvent {
  std::string name;
  std::function<void(v1::Event*)> spoil;
  std::string message;
};

void PrintTo(const BadEvent& bad, std::ostream* out) { *out << bad.name; }

class PublishRejects : public Publish, public ::testing::WithParamInterface<BadEvent> {};

TEST_P(PublishRejects, OneEventWithItsIndexAndAMessageThatSaysWhatWouldBeRight) {
  v1::Event event = TextEvent("good", "x");
  GetParam().spoil(&event);
  const v1::Rejection rejection = RejectionOf(event);
  EXPECT_EQ(rejection.index(), 1U);
  EXPECT_EQ(rejection.code(), static_cast<int>(grpc::StatusCode::INVALID_ARGUMENT));
  EXPECT_THAT(rejection.message(), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    All, PublishRejects,
    ::testing::Values(
        BadEvent{"EmptyTopic", [](v1::Event* e) { e->set_topic(""); }, "topic"},
        BadEvent{"EmptyToken", [](v1::Event* e) { e->set_topic("a..b"); }, "topic \"a..b\""},
        BadEvent{"WildcardInTopic", [](v1::Event* e) { e->set_topic("a.*"); }, "topic \"a.*\""},
        BadEvent{"LongTopic", [](v1::Event* e) { e->set_topic(std::string(256, 'a')); }, "255"},
        BadEvent{"DeepTopic", [](v1::Event* e) { e->set_topic("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q"); }, "16"},
        BadEvent{"ReservedType", [](v1::Event* e) { e->set_type("bridge.gap"); }, "bridge."},
        BadEvent{"LongType", [](v1::Event* e) { e->set_type(std::string(129, 't')); }, "128"},
        BadEvent{"LineFeedInType", [](v1::Event* e) { e->set_type("a\nid: 7"); }, "CR, LF or NUL"},
        BadEvent{"CarriageReturnInType", [](v1::Event* e) { e->set_type("a\rb"); }, "CR, LF or NUL"},
        BadEvent{"NulInType", [](v1::Event* e) { e->set_type(std::string("a\0b", 3)); }, "CR, LF or NUL"},
        BadEvent{"LongKey", [](v1::Event* e) { e->set_idempotency_key(std::string(129, 'k')); }, "128"},
        BadEvent{"KeyOnEphemeral",
                 [](v1::Event* e) {
                   e->set_ephemeral(true);
                   e->set_idempotency_key("k");
                 },
                 "ephemeral"},
        BadEvent{"ShortRetry", [](v1::Event* e) { e->mutable_retry()->set_nanos(1'000'000); }, "http.retry_min"},
        BadEvent{"LongRetry", [](v1::Event* e) { e->mutable_retry()->set_seconds(3601); }, "http.retry_max"},
        BadEvent{"NoPayload", [](v1::Event* e) { e->clear_text(); }, "payload"},
        BadEvent{"LargePayload", [](v1::Event* e) { e->set_text(std::string(2100, 'x')); }, "http.max_frame_bytes"},
        BadEvent{"PayloadThatGrowsInEncoding", [](v1::Event* e) { e->set_text(std::string(500, '\n')); },
                 "http.max_frame_bytes"},
        BadEvent{"NotANumber", [](v1::Event* e) { e->mutable_json()->set_number_value(std::nan("")); }, "NaN"},
        BadEvent{"UnknownMessageType",
                 [](v1::Event* e) { e->mutable_message()->set_type_url("type.example.com/shop.Order"); },
                 "shop.Order"}),
    [](const auto& test) { return test.param.name; });

TEST_F(Publish, RejectsAllEventsOfARequestThatHasTooMany) {
  const std::vector<v1::Event> events(1001, TextEvent("a", "x"));
  const v1::Ack ack = publisher_.Publish(events);
  ASSERT_EQ(ack.rejected_size(), 1001);
  EXPECT_THAT(ack.rejected(1000).message(), AllOf(HasSubstr("1001"), HasSubstr("grpc.max_events_per_request")));
  EXPECT_EQ(ack.first_id(), "");
}

TEST_F(Publish, AcksEveryRequestOnceAndInOrder) {
  PublishCall call(&publisher_);
  for (int i = 0; i < 500; ++i) {
    ASSERT_TRUE(call.Send(absl::StrCat(i), {TextEvent("a", "x"), TextEvent(i % 7 == 0 ? "bad topic" : "a", "y")}));
  }
  call.HalfClose();
  for (int i = 0; i < 500; ++i) {
    const auto ack = call.NextAck();
    ASSERT_TRUE(ack);
    ASSERT_EQ(ack->request_id(), absl::StrCat(i));
    ASSERT_EQ(ack->rejected_size(), i % 7 == 0 ? 1 : 0);
  }
  EXPECT_TRUE(call.Finish().ok());
}

TEST_F(Publish, EmptyRequestGetsAnEmptyAck) {
  PublishCall call(&publisher_);
  ASSERT_TRUE(call.Send("nothing", {}));
  const auto ack = call.NextAck();
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->request_id(), "nothing");
  EXPECT_EQ(ack->first_id(), "");
}

TEST_F(Publish, RepeatOfAKeyIsAckedWithTheFirstIdAndNotDelivered) {
  SseClient client(bridge_.http_port(), "/events?topic=>");
  client.ReadOpen();
  v1::Event event = TextEvent("a", "once");
  event.set_idempotency_key("k");
  v1::Event elsewhere = event;
  elsewhere.set_topic("b");
  elsewhere.set_text("another topic is another scope");

  const v1::Ack first = publisher_.Publish(event);
  const v1::Ack repeat = publisher_.Publish({event, elsewhere, event});
  EXPECT_EQ(repeat.first_id(), first.first_id());
  EXPECT_EQ(client.NextData(2), (std::vector<std::string>{"once", "another topic is another scope"}));

  absl::SleepFor(absl::Milliseconds(1200));  // log.idempotency_window
  EXPECT_NE(publisher_.Publish(event).first_id(), first.first_id());
  EXPECT_EQ(client.NextData(1), std::vector<std::string>{"once"});
  EXPECT_EQ(bridge_.Metric("sse_bridge_events_deduplicated_total"), 2);
}

TEST_F(Publish, PayloadsArriveAsTextBase64AndJson) {
  SseClient client(bridge_.http_port(), "/events?topic=a");
  client.ReadOpen();
  const v1::Event text = TextEvent("a", " leading space\nsecond line\r\nthird\rfourth\n");
  v1::Event binary;
  binary.set_topic("a");
  binary.set_binary(std::string("\x00\xff\x10", 3));
  v1::Event json;
  json.set_topic("a");
  (*json.mutable_json()->mutable_struct_value()->mutable_fields())["n"].set_number_value(1);
  publisher_.Publish({text, binary, json, TextEvent("a", "")});
  EXPECT_EQ(client.NextData(3),
            (std::vector<std::string>{" leading space\nsecond line\nthird\nfourth\n", "AP8Q", "{\"n\":1}"}));
}

TEST_F(Publish, EphemeralEventsHaveNoIdAndAreNotReplayed) {
  SseClient client(bridge_.http_port(), "/events?topic=a");
  const std::string open_id = client.ReadOpen();
  v1::Event ephemeral = TextEvent("a", "gone");
  ephemeral.set_ephemeral(true);
  const v1::Ack ack = publisher_.Publish(ephemeral);
  EXPECT_EQ(ack.first_id(), "");
  EXPECT_TRUE(ack.rejected().empty());
  const auto event = client.NextOwn();
  ASSERT_TRUE(event);
  EXPECT_EQ(event->data, "gone");
  EXPECT_EQ(event->id, open_id);  // the client keeps what it had

  publisher_.Publish(TextEvent("a", "kept"));
  SseClient late(bridge_.http_port(), "/events?topic=a&replay=all");
  EXPECT_EQ(late.NextData(1), std::vector<std::string>{"kept"});
}

TEST_F(Publish, RetryOfAnEventReachesTheClient) {
  SseClient client(bridge_.http_port(), "/events?topic=a");
  client.ReadOpen();
  v1::Event event = TextEvent("a", "x");
  event.mutable_retry()->set_seconds(7);
  publisher_.Publish(event);
  client.NextOwn();
  EXPECT_EQ(client.parser().retry_ms(), 7000U);
}

TEST_F(Publish, MessageThatDoesNotParseEndsTheStreamWithInvalidArgument) {
  grpc::GenericStub stub(grpc::CreateChannel(bridge_.grpc_target(), grpc::InsecureChannelCredentials()));
  grpc::CompletionQueue queue;
  const auto run = [&](const std::string& bytes) {
    grpc::ClientContext context;
    auto call = stub.PrepareCall(&context, "/bridge.v1.Publisher/Publish", &queue);
    const auto wait = [&] {
      void* tag = nullptr;
      bool ok = false;
      queue.Next(&tag, &ok);
      return ok;
    };
    call->StartCall(nullptr);
    wait();
    const grpc::Slice slice(bytes);
    call->Write(grpc::ByteBuffer(&slice, 1), nullptr);
    wait();
    grpc::Status status;
    call->Finish(&status, nullptr);
    wait();
    return status;
  };
  const std::string invalid_utf8("\x12\x06\x0a\x01\x61\x1a\x01\xff", 8);  // events { topic: "a" text: "\xff" }
  for (const std::string& bytes : {std::string("\xff\xff\xff"), invalid_utf8}) {
    const grpc::Status status = run(bytes);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(), HasSubstr("PublishRequest"));
  }
  EXPECT_EQ(run(std::string(70'000, 'x')).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  queue.Shutdown();
}

TEST_F(Publish, PublisherThatReadsNoAcksIsNotReadForEver) {
  v1::PublishRequest request;
  request.set_request_id(std::string(100, 'r'));
  *request.add_events() = TextEvent("a", "x");
  ExpectThatNotAllIsTaken(request);
}

TEST_F(Publish, RejectionsThatNobodyReadsDoNotPileUp) {
  v1::PublishRequest request;
  for (int i = 0; i < 5000; ++i) {
    request.add_events();  // two bytes each, and a rejection of a hundred
  }
  ExpectThatNotAllIsTaken(request);
}

}  // namespace
}  // namespace bridge::test
