#include "bridge/log/jetstream/pull.h"

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/time/time.h"
#include "tests/support/bridge_process.h"
#include "tests/support/jetstream_replica.h"
#include "tests/support/nats_server.h"

#include "bridge/log/jetstream/nats_connection.h"
#include "bridge/log/jetstream/options.h"
#include "bridge/log/jetstream/session.h"

namespace bridge::log::jetstream {
namespace {

class PullTest : public testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<std::shared_ptr<NatsConnection>> connection = NatsConnection::Connect(options_, {}, [] {});
    ASSERT_TRUE(connection.ok()) << connection.status();
    absl::StatusOr<std::shared_ptr<Session>> session = Session::Open(options_, *std::move(connection));
    ASSERT_TRUE(session.ok()) << session.status();
    session_ = *std::move(session);
  }

  const test::NatsServer server_;
  const JetStreamOptions options_ = {.url = server_.url()};
  std::shared_ptr<Session> session_;
};

// A reader comes back to a consumer after a while, in which it had nothing to say.
TEST_F(PullTest, SilenceIsCountedWhileSomethingHasBeenAskedFor) {
  absl::StatusOr<Pull> pull = Pull::Open(options_, *session_, {.first = 1, .filter = "bridge.kept.>"});
  ASSERT_TRUE(pull.ok()) << pull.status();

  constexpr absl::Duration kLong = absl::Milliseconds(500);
  ASSERT_TRUE(test::Eventually([&] { return pull->silence() > kLong; }));
  ASSERT_TRUE(pull->Ask({.messages = 1, .wait = absl::Seconds(30)}, session_->reader(0)).ok());
  EXPECT_LT(pull->silence(), kLong);
  ASSERT_TRUE(test::Eventually([&] { return pull->silence() > kLong; }));
  ASSERT_TRUE(pull->Ask({.messages = 1, .wait = absl::Seconds(30)}, session_->reader(0)).ok());
  EXPECT_GT(pull->silence(), kLong) << "what was asked for before has not been answered";
}

TEST_F(PullTest, StartsWhereTheStreamEndedIfThatIsBeforeItsPlace) {
  absl::StatusOr<Pull> pull = Pull::Open(options_, *session_, {.first = 3, .filter = "bridge.kept.>"});
  ASSERT_TRUE(pull.ok()) << pull.status();
  test::RawNats raw(server_.url());
  for (int i = 0; i < 3; ++i) {
    raw.Publish("bridge.kept.t", "");
  }
  ASSERT_TRUE(pull->Ask({.messages = 3, .wait = absl::Seconds(30)}, session_->reader(0)).ok());
  std::vector<uint64_t> sequences;
  EXPECT_TRUE(test::Eventually([&] {
    InPlace message;
    if (pull->Next(session_->reader(0), absl::Milliseconds(100), &message) == Pull::Got::kMessage) {
      sequences.push_back(message.sequence);
    }
    return sequences.size() == 3;
  }));
  EXPECT_THAT(sequences, testing::ElementsAre(1, 2, 3));
}

}  // namespace
}  // namespace bridge::log::jetstream
