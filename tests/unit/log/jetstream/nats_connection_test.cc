// Connections that end while a message is in the hands of the library's reader.
#include "bridge/log/jetstream/nats_connection.h"

#include <atomic>
#include <dlfcn.h>
#include <memory>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/time/clock.h"
#include "tests/support/bridge_process.h"
#include "tests/support/jetstream_replica.h"
#include "tests/support/nats_server.h"

#include "bridge/log/jetstream/nats_inbox.h"
#include "bridge/log/jetstream/options.h"
#include "bridge/log/jetstream/session.h"

namespace {

std::atomic<bool> holds_next_message = false;
std::atomic<bool> has_message_in_hand = false;

void HoldWhereWanted() {
  if (holds_next_message.exchange(false)) {
    has_message_in_hand = true;
    absl::SleepFor(absl::Milliseconds(300));  // meanwhile the connection ends
  }
}

using CreateMessage = natsStatus(natsMsg**, const char*, int, const char*, int, const char*, int, int);
using CreateMessageWithPadding = natsStatus(natsMsg**, const char*, int, const char*, int, const char*, int, int, int);

}  // namespace

// Stand before the library's functions of these names. Its reader calls the first, in later versions the second, for
// each message; before 3.6.1 when it has found the message's subscription, and has not locked it yet.
// NOLINTBEGIN(readability-identifier-naming): the library's names
extern "C" natsStatus natsMsg_create(natsMsg** made, const char* subject, int subject_size, const char* reply,
                                     int reply_size, const char* data, int size, int head_size) {
  static auto* const library = reinterpret_cast<CreateMessage*>(dlsym(RTLD_NEXT, "natsMsg_create"));
  HoldWhereWanted();
  return library(made, subject, subject_size, reply, reply_size, data, size, head_size);
}

extern "C" natsStatus natsMsg_createWithPadding(natsMsg** made, const char* subject, int subject_size,
                                                const char* reply, int reply_size, const char* data, int size,
                                                int padding_size, int head_size) {
  static auto* const library =
      reinterpret_cast<CreateMessageWithPadding*>(dlsym(RTLD_NEXT, "natsMsg_createWithPadding"));
  HoldWhereWanted();
  return library(made, subject, subject_size, reply, reply_size, data, size, padding_size, head_size);
}
// NOLINTEND(readability-identifier-naming)

namespace bridge::log::jetstream {
namespace {

class NatsConnectionTest : public testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<std::shared_ptr<NatsConnection>> connection = NatsConnection::Connect(options_, {}, [] {});
    ASSERT_TRUE(connection.ok()) << connection.status();
    connection_ = *std::move(connection);
    has_message_in_hand = false;
  }

  static bool AwaitMessageInHand() {
    return test::Eventually([] { return has_message_in_hand.load(); });
  }

  const test::NatsServer server_;
  const JetStreamOptions options_ = {.url = server_.url()};
  std::shared_ptr<NatsConnection> connection_;
};

TEST_F(NatsConnectionTest, EndsWhileAnAnswerComes) {
  holds_next_message = true;
  std::thread asking(
      [connection = connection_] { EXPECT_FALSE(connection->Request("$JS.API.INFO", "", absl::Seconds(3)).ok()); });
  ASSERT_TRUE(AwaitMessageInHand());
  connection_->Close();
  asking.join();
  connection_.reset();
}

TEST_F(NatsConnectionTest, EndsBySeveralWhileAMessageComes) {
  absl::StatusOr<std::shared_ptr<Session>> session = Session::Open(options_, connection_);
  ASSERT_TRUE(session.ok()) << session.status();
  holds_next_message = true;
  test::RawNats(server_.url()).PublishUnstored("bridge.live.t", "");
  ASSERT_TRUE(AwaitMessageInHand());
  std::thread closing([connection = std::move(connection_)] { connection->Close(); });
  ASSERT_TRUE(test::Eventually([&] { return !(*session)->connection().is_open(); }));
  session->reset();
  closing.join();
}

// One that comes too late is not taken for that to the next request.
TEST_F(NatsConnectionTest, AnAnswerIsThatToItsRequest) {
  const absl::StatusOr<Inbox*> questions = connection_->Subscribe("question", {.messages = 10, .bytes = 1000});
  ASSERT_TRUE(questions.ok()) << questions.status();
  EXPECT_THAT(connection_->Request("question", "", absl::Milliseconds(50)).status().message(),
              testing::HasSubstr("question: Timeout"));
  const Message first = (*questions)->Next(absl::Seconds(10));
  const auto answer = [&](const Message& question, absl::string_view data) {
    return connection_->Publish(
        {.subject = std::string(question.reply()), .reply = "", .data = data, .message_id = ""});
  };
  ASSERT_TRUE(answer(first, "too late").ok());
  std::thread answering([&] { EXPECT_TRUE(answer((*questions)->Next(absl::Seconds(10)), "in time").ok()); });
  EXPECT_EQ(connection_->Request("question", "", absl::Seconds(10)).value_or(""), "in time");
  answering.join();
}

TEST_F(NatsConnectionTest, SaysThatNobodyAnswers) {
  EXPECT_THAT(connection_->Request("nobody", "", absl::Seconds(10)).status().message(),
              testing::HasSubstr("nobody answers to nobody"));
}

}  // namespace
}  // namespace bridge::log::jetstream
