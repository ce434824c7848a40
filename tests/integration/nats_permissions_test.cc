// The bridge with a user of NATS who may do what docs/logs.md says, and nothing else. Needs BRIDGE_SOURCE_DIR in its
// environment.
#include <cstddef>
#include <cstdlib>
#include <optional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tests/support/bridge_process.h"
#include "tests/support/files.h"
#include "tests/support/nats_server.h"
#include "tests/support/publisher.h"
#include "tests/support/raw_http.h"
#include "tests/support/sse_client.h"
#include "tests/support/worker.h"

namespace bridge::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// What docs/logs.md shows of a server's configuration.
std::string DocumentedPermissions() {
  const std::string page = ReadFile(absl::StrCat(getenv("BRIDGE_SOURCE_DIR"), "/docs/logs.md"));
  const size_t begin = page.find("permissions: {");
  return page.substr(begin, page.find('}', begin) - begin + 1);
}

NatsServer::Options With(absl::string_view permissions) {
  return {.configuration =
              absl::StrCat("authorization { users: [ { user: bridge, password: secret, ", permissions, " } ] }"),
          .user_info = "bridge:secret@"};
}

std::string Url(const NatsServer& server) { return absl::StrCat("log.jetstream.url='", server.url(), "'"); }

TEST(NatsPermissions, ThatAreDocumentedAreEnoughForEventsAndCalls) {
  const NatsServer server(With(DocumentedPermissions()));
  const BridgeProcess bridge({Url(server)});
  Publisher publisher(bridge.grpc_target());

  SseClient events(bridge.http_port(), "/events?topic=a");
  events.ReadOpen();
  v1::Event ephemeral = TextEvent("a", "seen by who is there");
  ephemeral.set_ephemeral(true);
  publisher.Publish(TextEvent("a", "kept"));
  EXPECT_THAT(events.NextData(1), ElementsAre("kept"));
  publisher.Publish(ephemeral);
  EXPECT_THAT(events.NextData(1), ElementsAre("seen by who is there"));

  WorkerCall worker(&publisher);
  ASSERT_TRUE(worker.Serve("w", {"chat"}));
  ASSERT_TRUE(worker.NextServing().has_value());
  SseClient reader(bridge.http_port(), {.target = "/calls/chat", .method = "POST", .body = "hello"});
  const std::optional<v1::Call> call = worker.NextCall();
  ASSERT_TRUE(call.has_value());
  worker.Answer(*call, 0, {"well,", "hello"});
  worker.End(*call, 2);
  EXPECT_THAT(reader.NextData(2), ElementsAre("well,", "hello"));
  EXPECT_TRUE(reader.WaitForEnd());

  EXPECT_THAT(server.Log(), Not(HasSubstr("Violation")));
}

TEST(NatsPermissions, WithoutThoseOfTheCallsStreamLeaveEventsAndNoCalls) {
  const NatsServer server(
      With(R"(permissions: { publish: ["bridge.>", "$JS.API.>"], subscribe: ["bridge.live.>", "_INBOX.>"] })"));
  const BridgeProcess bridge({Url(server)});
  Publisher publisher(bridge.grpc_target());
  SseClient events(bridge.http_port(), "/events?topic=a");
  events.ReadOpen();
  publisher.Publish(TextEvent("a", "kept"));
  EXPECT_THAT(events.NextData(1), ElementsAre("kept"));

  WorkerCall worker(&publisher);
  ASSERT_TRUE(worker.Serve("w", {"chat"}));
  ASSERT_TRUE(worker.NextServing().has_value());
  EXPECT_EQ(Fetch(bridge.http_port(), "POST", "/calls/chat", "", "hello").status, 503);
  EXPECT_THAT(server.Log(), HasSubstr(R"(Subscription Violation - User "bridge", Subject "bridge-calls.live.>")"));
  EXPECT_THAT(bridge.Log(), HasSubstr("nats_error"));
  EXPECT_THAT(bridge.Log(), HasSubstr("bridge-calls."));
}

}  // namespace
}  // namespace bridge::test
