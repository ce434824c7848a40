#include "examples/cpp/publisher_client.h"

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

  FakeBridge() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~FakeBridge() override { server_->Shutdown(absl::ToChronoTime(absl::Now())); }

  std::string target() const { return absl::StrCat("127.0.0.1:", port_); }

  // The next stream that has no script yet runs this one; those after the last script accept all.
  void ThenStream(Script script) {
    const absl::MutexLock lock(&mutex_);
    scripts_.push_back(std::move(script));
  }

  // Appends what is not a repeat, and acks.
  Ack Accept(const PublishRequest& request) {
    const absl::MutexLock lock(&mutex_);
    for (const Event& event : request.events()) {
      if (keys_.insert(event.idempotency_key()).second) texts_.push_back(event.text());
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

  int port_ = 0;
  absl::Mutex mutex_;
  std::vector<Script> scripts_ ABSL_GUARDED_BY(mutex_);
  size_t streams_ ABSL_GUARDED_BY(mutex_) = 0;
  std::set<std::string> keys_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> texts_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<grpc::Server> server_;
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

TEST_F(PublisherClientTest, SendsAgainWhatMayPassLaterBeforeWhatCameAfter) {
  bridge_.ThenStream([](Stream* stream) {
    PublishRequest request;
    stream->Read(&request);
    Ack ack;
    ack.set_request_id(request.request_id());
    Rejection& rejection = *ack.add_rejected();
    rejection.set_index(0);
    rejection.set_code(grpc::StatusCode::UNAVAILABLE);
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

TEST_F(PublisherClientTest, RefusesAnEventThatFitsInNoRequest) {
  PublisherClient::Options options = Options();
  options.request_bytes_max = 100;
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
