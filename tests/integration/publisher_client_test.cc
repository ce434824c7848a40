#include "examples/cpp/publisher_client.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "tests/support/loopback_grpc_server.h"

#include "bridge/v1/publisher.grpc.pb.h"

namespace demo {
namespace {

using ::bridge::v1::Ack;
using ::bridge::v1::Event;
using ::bridge::v1::Publisher;
using ::bridge::v1::PublishRequest;
using ::bridge::v1::PublishResponse;
using ::bridge::v1::Rejection;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

using Stream = grpc::ServerReaderWriter<PublishResponse, PublishRequest>;

constexpr absl::Duration kPatience = absl::Seconds(20);

// A bridge of which a test says what each stream does, and a log without repeats.
class FakeBridge final : public Publisher::Service {
 public:
  using Script = std::function<grpc::Status(Stream*)>;

  std::string target() const { return server_.target(); }

  // The next stream that has no script yet runs this one; those after the last script accept all.
  void ThenStream(Script script) {
    const absl::MutexLock lock(&mutex_);
    scripts_.push_back(std::move(script));
  }

  // Appends what is not a repeat, and acks.
  Ack Accept(const PublishRequest& request) {
    const absl::MutexLock lock(&mutex_);
    for (const Event& event : request.events()) {
      const bool is_new = event.idempotency_key().empty() || keys_.insert(event.idempotency_key()).second;
      if (is_new) texts_.push_back(event.text());
    }
    Ack ack;
    ack.set_request_id(request.request_id());
    return ack;
  }

  grpc::Status AcceptAll(Stream* stream) {
    PublishRequest request;
    while (stream->Read(&request)) Answer(stream, {Accept(request)});
    return grpc::Status::OK;
  }

  static void Answer(Stream* stream, const std::vector<Ack>& acks, bool draining = false) {
    PublishResponse response;
    for (const Ack& ack : acks) *response.add_acks() = ack;
    response.set_draining(draining);
    stream->Write(response);
  }

  // The texts of the log, in order.
  std::vector<std::string> texts() {
    const absl::MutexLock lock(&mutex_);
    return texts_;
  }
  size_t streams() {
    const absl::MutexLock lock(&mutex_);
    return streams_;
  }

 private:
  grpc::Status Publish(grpc::ServerContext*, Stream* stream) override {
    Script script = [this](Stream* each) { return AcceptAll(each); };
    {
      const absl::MutexLock lock(&mutex_);
      if (streams_ < scripts_.size()) script = scripts_[streams_];
      ++streams_;
    }
    return script(stream);
  }

  absl::Mutex mutex_;
  std::vector<Script> scripts_ ABSL_GUARDED_BY(mutex_);
  size_t streams_ ABSL_GUARDED_BY(mutex_) = 0;
  std::set<std::string> keys_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> texts_ ABSL_GUARDED_BY(mutex_);
  const bridge::test::LoopbackGrpcServer server_{this};
};

class PublisherClientTest : public ::testing::Test {
 protected:
  PublisherClient::Options Options() {
    PublisherClient::Options options;
    options.target = bridge_.target();
    options.backoff_min = absl::Milliseconds(1);
    options.backoff_max = absl::Milliseconds(20);
    return options;
  }

  static Event TextEvent(int i) {
    Event event;
    event.set_topic("a.b");
    event.set_text(absl::StrCat(i));
    return event;
  }

  static void PublishTexts(PublisherClient& client, int first, int end) {
    for (int i = first; i < end; ++i) ASSERT_TRUE(client.Publish(TextEvent(i), absl::Now() + kPatience).ok());
  }

  // Closes the client; then the log has the events 0 to `events` less 1 in order, and they took `streams` streams.
  void ExpectAllAfterClose(PublisherClient& client, int events, size_t streams) {
    EXPECT_TRUE(client.Close(absl::Now() + kPatience).ok());
    std::vector<std::string> texts;
    for (int i = 0; i < events; ++i) texts.push_back(absl::StrCat(i));
    EXPECT_THAT(bridge_.texts(), ElementsAreArray(texts));
    EXPECT_EQ(bridge_.streams(), streams);
  }

  FakeBridge bridge_;
};

TEST_F(PublisherClientTest, PublishesInOrderOnOneStream) {
  PublisherClient client(Options());
  PublishTexts(client, 0, 1000);
  ExpectAllAfterClose(client, 1000, 1);
}

TEST_F(PublisherClientTest, ResendsWhatHasNoAckFirstAndInOrder) {
  // Each stream takes a few requests, of which the last has no ack, and fails.
  for (int stream = 0; stream < 8; ++stream) {
    bridge_.ThenStream([this, stream](Stream* each) {
      PublishRequest request;
      for (int i = 0; i < stream && each->Read(&request); ++i) {
        const Ack ack = bridge_.Accept(request);
        if (i + 1 < stream) FakeBridge::Answer(each, {ack});
      }
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "the log is away");
    });
  }
  PublisherClient::Options options = Options();
  options.request_events_max = 3;
  PublisherClient client(std::move(options));
  PublishTexts(client, 0, 1000);
  ExpectAllAfterClose(client, 1000, 9);
}

TEST_F(PublisherClientTest, LeavesADrainingBridgeWithEveryAck) {
  absl::Notification half_closed;
  bridge_.ThenStream([this, &half_closed](Stream* stream) {
    PublishRequest request;
    stream->Read(&request);
    FakeBridge::Answer(stream, {bridge_.Accept(request)}, /*draining=*/true);
    while (stream->Read(&request)) FakeBridge::Answer(stream, {bridge_.Accept(request)});
    half_closed.Notify();
    return grpc::Status::OK;
  });
  PublisherClient client(Options());
  PublishTexts(client, 0, 500);
  half_closed.WaitForNotification();
  PublishTexts(client, 500, 1000);
  ExpectAllAfterClose(client, 1000, 2);
}

TEST_F(PublisherClientTest, TellsOfARefusedEventAndGoesOn) {
  bridge_.ThenStream([this](Stream* stream) {
    PublishRequest request;
    while (stream->Read(&request)) {
      Ack ack;
      ack.set_request_id(request.request_id());
      if (request.events(0).topic() == "a..b") {
        Rejection& rejection = *ack.add_rejected();
        rejection.set_code(grpc::StatusCode::INVALID_ARGUMENT);
        rejection.set_message("empty token");
      } else {
        ack = bridge_.Accept(request);
      }
      FakeBridge::Answer(stream, {ack});
    }
    return grpc::Status::OK;
  });
  std::vector<std::string> refused;
  PublisherClient::Options options = Options();
  options.request_events_max = 1;
  options.on_rejected = [&refused](const Event& event, const Rejection& rejection) {
    refused.push_back(absl::StrCat(event.topic(), ": ", rejection.message()));
  };
  PublisherClient client(std::move(options));
  Event bad = TextEvent(0);
  bad.set_topic("a..b");
  ASSERT_TRUE(client.Publish(bad).ok());
  PublishTexts(client, 0, 2);
  EXPECT_TRUE(client.Close(absl::Now() + kPatience).ok());
  EXPECT_THAT(refused, ElementsAre("a..b: empty token"));
  EXPECT_THAT(bridge_.texts(), ElementsAre("0", "1"));
  EXPECT_EQ(bridge_.streams(), 1U);
}

class PublisherClientPassingTest : public PublisherClientTest,
                                   public ::testing::WithParamInterface<grpc::StatusCode> {};

TEST_P(PublisherClientPassingTest, SendsAgainWhatMayPassLaterBeforeWhatCameAfter) {
  bridge_.ThenStream([](Stream* stream) {
    PublishRequest request;
    stream->Read(&request);
    Ack ack;
    ack.set_request_id(request.request_id());
    Rejection& rejection = *ack.add_rejected();
    rejection.set_index(0);
    rejection.set_code(GetParam());
    FakeBridge::Answer(stream, {ack});
    while (stream->Read(&request)) {
    }
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "the log is away");
  });
  PublisherClient::Options options = Options();
  options.request_events_max = 1;
  PublisherClient client(std::move(options));
  PublishTexts(client, 0, 10);
  ExpectAllAfterClose(client, 10, 2);
}

INSTANTIATE_TEST_SUITE_P(Codes, PublisherClientPassingTest,
                         ::testing::Values(grpc::StatusCode::UNAVAILABLE, grpc::StatusCode::RESOURCE_EXHAUSTED));

TEST_F(PublisherClientTest, SendsAnEphemeralEventOnce) {
  bridge_.ThenStream([this](Stream* stream) {
    PublishRequest request;
    while (bridge_.texts().size() < 3 && stream->Read(&request)) bridge_.Accept(request);
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "the acks are lost");
  });
  PublisherClient client(Options());
  for (int i = 0; i < 3; ++i) {
    Event event = TextEvent(i);
    event.set_ephemeral(i != 1);
    ASSERT_TRUE(client.Publish(std::move(event), absl::Now() + kPatience).ok());
  }
  ExpectAllAfterClose(client, 3, 2);
}

TEST_F(PublisherClientTest, PutsNoMoreWorkIntoOneRequestThanTheBridgeTakes) {
  size_t largest = 0;
  bridge_.ThenStream([this, &largest](Stream* stream) {
    PublishRequest request;
    while (stream->Read(&request)) {
      if (request.events_size() > 1) largest = std::max(largest, request.ByteSizeLong());
      FakeBridge::Answer(stream, {bridge_.Accept(request)});
    }
    return grpc::Status::OK;
  });
  absl::Notification all_published;
  PublisherClient::Options options = Options();
  options.token = [&all_published] {
    all_published.WaitForNotification();  // the stream is opened after it
    return std::string();
  };
  PublisherClient client(std::move(options));
  for (const size_t kibibytes : std::vector<size_t>{50, 50, 50, 50, 50, 50, 50, 50, 50, 512, 50, 50}) {
    Event event = TextEvent(0);
    event.set_text(std::string(kibibytes << 10, 'x'));
    ASSERT_TRUE(client.Publish(std::move(event), absl::Now() + kPatience).ok());
  }
  all_published.Notify();
  EXPECT_TRUE(client.Close(absl::Now() + kPatience).ok());
  EXPECT_EQ(bridge_.texts().size(), 12U);
  EXPECT_GT(largest, size_t{0});
  EXPECT_LE(largest, size_t{257} << 10);
}

TEST_F(PublisherClientTest, BoundsWhatWaitsAndSaysWhatIsLeft) {
  bridge_.ThenStream([](Stream* stream) {
    PublishRequest request;
    while (stream->Read(&request)) {
    }
    return grpc::Status::OK;
  });
  PublisherClient::Options options = Options();
  options.unacked_events_max = 5;
  PublisherClient client(std::move(options));
  PublishTexts(client, 0, 5);
  EXPECT_EQ(client.Publish(TextEvent(5), absl::Now() + absl::Milliseconds(20)).code(),
            absl::StatusCode::kDeadlineExceeded);
  const absl::Status closed = client.Close(absl::Now() + absl::Milliseconds(20));
  EXPECT_EQ(closed.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(closed.message()), ::testing::HasSubstr("5 events"));
  EXPECT_EQ(client.Publish(TextEvent(6)).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(PublisherClientTest, RefusesAnEventThatTheBridgeCannotParse) {
  PublisherClient client(Options());
  Event text = TextEvent(0);
  text.set_text("caf\xe9");
  EXPECT_EQ(client.Publish(text).code(), absl::StatusCode::kInvalidArgument);
  Event member = TextEvent(0);
  (*member.mutable_json()->mutable_struct_value()->mutable_fields())["caf\xe9"].set_bool_value(true);
  EXPECT_EQ(client.Publish(member).code(), absl::StatusCode::kInvalidArgument);
  PublishTexts(client, 0, 2);
  ExpectAllAfterClose(client, 2, 1);
}

TEST_F(PublisherClientTest, WaitsLongerAndLongerWhereTheBridgeDoesNotTakeWhatIsSent) {
  for (int stream = 0; stream < 8; ++stream) {
    bridge_.ThenStream([this](Stream* each) {
      PublishRequest request;
      each->Read(&request);
      FakeBridge::Answer(each, {bridge_.Accept(request)});
      return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "of a test");
    });
  }
  absl::Mutex mutex;
  absl::Duration longest;
  PublisherClient::Options options = Options();
  options.request_events_max = 1;
  options.on_stream_end = [&mutex, &longest](const grpc::Status&, absl::Duration pause) {
    const absl::MutexLock lock(&mutex);
    longest = std::max(longest, pause);
  };
  PublisherClient client(std::move(options));
  PublishTexts(client, 0, 20);
  ExpectAllAfterClose(client, 20, 9);
  const absl::MutexLock lock(&mutex);
  EXPECT_GT(longest, absl::Milliseconds(5));
}

TEST_F(PublisherClientTest, RefusesAnEventThatIsTooLarge) {
  PublisherClient::Options options = Options();
  options.event_bytes_max = 100;
  PublisherClient client(std::move(options));
  Event event = TextEvent(0);
  event.set_text(std::string(200, 'x'));
  EXPECT_EQ(client.Publish(event).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(PublisherClientTest, KeepsTryingUntilABridgeIsThere) {
  PublisherClient::Options options = Options();
  options.target = "127.0.0.1:1";
  absl::Mutex mutex;
  int ends = 0;
  options.on_stream_end = [&mutex, &ends](const grpc::Status& status, absl::Duration) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
    const absl::MutexLock lock(&mutex);
    ++ends;
  };
  PublisherClient client(std::move(options));
  PublishTexts(client, 0, 1);
  const auto has_tried = [&ends] { return ends >= 3; };
  mutex.LockWhen(absl::Condition(&has_tried));
  mutex.Unlock();
  EXPECT_FALSE(client.Close(absl::Now()).ok());
}

}  // namespace
}  // namespace demo
