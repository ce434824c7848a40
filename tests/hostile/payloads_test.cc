// Payloads that are small where they are sent and large where they arrive, and clients that speak to the wrong port.
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/hostile/attacked.h"
#include "tests/support/publisher.h"

namespace bridge::test {
namespace {

constexpr size_t kFrameBytes = size_t{512} << 10;  // http.max_frame_bytes

v1::Event MessageEvent(const std::string& type, const std::string& bytes) {
  v1::Event event;
  event.set_topic("a");
  event.mutable_message()->set_type_url(absl::StrCat("type.googleapis.com/", type));
  event.mutable_message()->set_value(bytes);
  return event;
}

// A field of a message as it is on the wire, where that is of delimited bytes.
std::string Field(int number, const std::string& bytes) {
  std::string field;
  for (size_t rest : {static_cast<size_t>(number) << 3 | 2, bytes.size()}) {
    for (; rest >= 0x80; rest >>= 7) {
      field += static_cast<char>(rest | 0x80);
    }
    field += static_cast<char>(rest);
  }
  return field + bytes;
}

class Payloads : public Attacked {
 protected:
  Payloads()
      : Attacked({"log.history.max_bytes=4MiB",
                  absl::StrCat("payload.descriptor_sets=[\"", std::getenv("BRIDGE_SHOP_DESCRIPTORS"), "\"]")}) {}

  // Publishes requests of so many such events, one after the other: several of such publishers would have all cores,
  // and with them gRPC's threads.
  void Flood(const v1::Event& event, int events_in_request, bool is_accepted) {
    constexpr int kRequests = 4;
    Publisher publisher(bridge_.grpc_target());
    const std::vector<v1::Event> events(static_cast<size_t>(events_in_request), event);
    for (int request = 0; request < kRequests; ++request) {
      const v1::Ack ack = publisher.Publish(events);
      EXPECT_EQ(ack.rejected_size(), is_accepted ? 0 : events_in_request)
          << (ack.rejected_size() > 0 ? ack.rejected(0).message() : "");
    }
    if (CanMeasureMemory()) {  // a sanitizer's allocator takes more
      EXPECT_LT(bystander_.PeakGrowthBytes(), uint64_t{200} << 20);
    }
  }
};

TEST_F(Payloads, OfLineFeedsGrowSevenfold) {
  Flood(TextEvent("a", std::string(kFrameBytes / 7 - 100, '\n')), 10, true);
  Flood(TextEvent("a", std::string(kFrameBytes / 7 + 100, '\n')), 10, false);
}

TEST_F(Payloads, OfControlCharactersGrowSixfold) {
  v1::Event event;
  event.set_topic("a");
  event.mutable_json()->set_string_value(std::string(kFrameBytes / 6 - 100, '\0'));
  Flood(event, 10, true);
}

TEST_F(Payloads, OfPackedFieldsGrowFivefold) {
  Flood(MessageEvent("shop.Order", Field(10, std::string(kFrameBytes / 5 - 100, '\1'))), 10, true);
  Flood(MessageEvent("shop.Order", Field(10, std::string(kFrameBytes, '\1'))), 7, false);
}

TEST_F(Payloads, OfEmptyMessagesAreRejectedWhereTheyGrowInMemory) {
  std::string wide;
  while (wide.size() < 100'000) {
    wide += Field(1, "");
  }
  Flood(MessageEvent("shop.Wide", wide), 10, false);
}

TEST_F(Payloads, OfNullsAreAcceptedAtABoundedCost) {
  v1::Event event;
  event.set_topic("a");
  for (int i = 0; i < 50'000; ++i) {
    event.mutable_json()->mutable_list_value()->add_values()->set_null_value(google::protobuf::NULL_VALUE);
  }
  Flood(event, 5, true);
}

TEST_F(Payloads, ThatAreTooMuchWorkTogetherHoldUpNobody) {
  std::string items;
  for (int i = 0; i < 40'000; ++i) {
    items += Field(3, "");
  }
  const std::vector<v1::Event> events(40, MessageEvent("shop.Order", items));
  const auto flood = [&] {
    Publisher publisher(bridge_.grpc_target(), Publisher::Channel::kOwn);
    for (int request = 0; request < 10; ++request) {
      const v1::Ack ack = publisher.Publish(events);
      // The first ones are taken, and the rest is not.
      ASSERT_GT(ack.rejected_size(), 30);
      ASSERT_LT(ack.rejected_size(), 40);
      for (int i = 0; i < ack.rejected_size(); ++i) {
        EXPECT_EQ(ack.rejected(i).code(), static_cast<int>(grpc::StatusCode::RESOURCE_EXHAUSTED));
        EXPECT_EQ(ack.rejected(i).index(), static_cast<uint32_t>(40 - ack.rejected_size() + i));
      }
    }
  };
  std::thread other(flood);
  flood();
  other.join();
}

TEST_F(Payloads, ThatAreDeepAreRejected) {
  v1::Event deep;
  deep.set_topic("a");
  google::protobuf::Value* value = deep.mutable_json();
  for (int i = 0; i < 90; ++i) {
    value = value->mutable_list_value()->add_values();
  }
  value->set_bool_value(true);
  Flood(deep, 200, false);

  std::string nested;
  for (int i = 0; i < 1000; ++i) {
    nested = Field(1, "type.googleapis.com/google.protobuf.Any") + Field(2, nested);
  }
  Flood(MessageEvent("google.protobuf.Any", nested), 10, false);
  std::string parents;
  for (int i = 0; i < 10'000; ++i) {
    parents = Field(11, parents);
  }
  Flood(MessageEvent("shop.Order", parents), 10, false);
}

class WrongPorts : public Attacked {};

TEST_F(WrongPorts, GrpcOnTheHttpPortFailsAtOnce) {
  for (int i = 0; i < 20; ++i) {
    Publisher publisher(absl::StrCat("127.0.0.1:", bridge_.http_port()), Publisher::Channel::kOwn);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    v1::Ack ack;
    const grpc::Status status = publisher.stub().PublishOnce(&context, v1::PublishRequest(), &ack);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE) << status.error_message();
  }
}

TEST_F(WrongPorts, HttpOnTheGrpcPortIsEnded) {
  for (const std::string& bytes : {std::string("GET /events?topic=a HTTP/1.1\r\nHost: localhost\r\n\r\n"),
                                   std::string("\x16\x03\x01\x02\x00\x01", 6), std::string(100'000, '\0'),
                                   std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") + std::string(100'000, '\xff')}) {
    RawConnection connection(bridge_.grpc_port());
    connection.Send(bytes);
    EXPECT_TRUE(connection.ReceiveToEnd()) << bytes.substr(0, 20);
  }
}

}  // namespace
}  // namespace bridge::test
