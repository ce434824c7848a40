// log.jetstream.credentials_file, with a nats-server that knows its users by JWTs.
#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/bridge_process.h"
#include "tests/support/certificates.h"
#include "tests/support/event_log_fixture.h"
#include "tests/support/files.h"
#include "tests/support/jetstream_replica.h"
#include "tests/support/nats_accounts.h"
#include "tests/support/nats_server.h"
#include "tests/support/publisher.h"
#include "tests/support/sse_client.h"
#include "tests/support/temp_dir.h"

namespace bridge::test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class NatsCredentials : public ::testing::Test {
 protected:
  std::string File() const { return directory_.path() + "/bridge.creds"; }
  void Write(const std::string& credentials) const { ReplaceFile(File(), credentials); }

  log::JetStreamOptions Options() const { return {.url = server_.url(), .credentials_file = File()}; }

  const NatsOperator operator_;
  NatsServer server_{{.configuration = operator_.ServerConfiguration()}};

 private:
  const TempDir directory_;
};

TEST_F(NatsCredentials, LetTheBridgeIn) {
  Write(operator_.MakeUser().credentials);
  const BridgeProcess bridge({absl::StrCat("log.jetstream.url='", server_.url(), "'"),
                              absl::StrCat("log.jetstream.credentials_file='", File(), "'")});
  SseClient client(bridge.http_port(), "/events?topic=a");
  client.ReadOpen();
  Publisher(bridge.grpc_target()).Publish(TextEvent("a", "hello"));
  const auto event = client.NextOwn();
  ASSERT_TRUE(event);
  EXPECT_EQ(event->data, "hello");
}

TEST_F(NatsCredentials, ThatAreMissingAreNamedAndWaitedFor) {
  const Replica replica(Options());
  EXPECT_TRUE(replica.AwaitHealthToSay(absl::StrCat("error opening file '", File(), "': No such file")))
      << replica.health();
  Write(operator_.MakeUser().credentials);
  EXPECT_TRUE(replica.AwaitCaughtUp()) << replica.health();
  EXPECT_THAT(replica.fatal(), IsEmpty());
}

TEST_F(NatsCredentials, ThatAreNoneAreNamedAndWaitedFor) {
  Write("no credentials\n");
  const Replica replica(Options());
  EXPECT_TRUE(replica.AwaitHealthToSay(absl::StrCat("no nkey user seed found in '", File(), "'"))) << replica.health();
  Write(operator_.MakeUser().credentials);
  EXPECT_TRUE(replica.AwaitCaughtUp()) << replica.health();
  EXPECT_THAT(replica.fatal(), IsEmpty());
}

TEST_F(NatsCredentials, OfAnotherOperatorAreRefusedUntilTheFileHasBetterOnes) {
  const std::string foreign = NatsOperator().MakeUser().credentials;
  Write(foreign);
  const Replica replica(Options());
  EXPECT_TRUE(replica.AwaitHealthToSay("Authorization Violation")) << replica.health();
  const std::string seed = foreign.substr(foreign.find("\nSU") + 1, 58);
  EXPECT_THAT(replica.health().ToString(), Not(HasSubstr(seed)));
  Write(operator_.MakeUser().credentials);
  EXPECT_TRUE(replica.AwaitCaughtUp()) << replica.health();
  EXPECT_THAT(replica.fatal(), IsEmpty());
}

TEST_F(NatsCredentials, ThatAreRevokedUnderTheBridgeAreRefusedUntilTheFileHasOthers) {
  const NatsOperator::User revoked = operator_.MakeUser();
  Write(revoked.credentials);
  Replica replica(Options());
  ASSERT_TRUE(replica.AwaitCaughtUp()) << replica.health();
  EXPECT_EQ(replica.AppendUntilAcked(MakeRecord("t", "before", "before")), 1);
  operator_.Revoke(revoked);
  server_.Kill();
  server_.Start();
  EXPECT_TRUE(replica.AwaitHealthToSay("Authorization Violation")) << replica.health();
  EXPECT_EQ(replica.Append(MakeRecords(1)).status().code(), absl::StatusCode::kUnavailable);
  Write(operator_.MakeUser().credentials);
  ASSERT_TRUE(replica.AwaitHealthy()) << replica.health();
  EXPECT_EQ(replica.AppendUntilAcked(MakeRecord("t", "after", "after")), 2);
  EXPECT_THAT(replica.fatal(), IsEmpty());
}

}  // namespace
}  // namespace bridge::test
