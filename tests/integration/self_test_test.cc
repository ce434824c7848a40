// sse-bridge --self-test: one event through a bridge that runs.
#include <algorithm>
#include <csignal>
#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/bridge_process.h"
#include "tests/support/http_origin.h"
#include "tests/support/tls_fixture.h"
#include "tests/support/token_issuer.h"

namespace bridge::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::vector<std::string> Addresses(const BridgeProcess& bridge) {
  return {"--http", absl::StrCat("http://127.0.0.1:", bridge.http_port()), "--grpc", bridge.grpc_target()};
}

RunResult SelfTest(std::vector<std::string> arguments, const std::vector<std::string>& more = {}) {
  arguments.insert(arguments.begin(), "--self-test");
  arguments.insert(arguments.end(), more.begin(), more.end());
  return RunBridge(arguments);
}

// What it says where it fails: one line.
std::string ErrorOf(const std::vector<std::string>& arguments, const std::vector<std::string>& more = {}) {
  const RunResult result = SelfTest(arguments, more);
  EXPECT_EQ(result.exit_code, 1) << result.output;
  EXPECT_EQ(std::count(result.output.begin(), result.output.end(), '\n'), 1) << result.output;
  return result.output;
}

void ExpectSuccess(const RunResult& result) {
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_THAT(result.output, StartsWith("the event came after "));
}

class SelfTestTest : public TlsTest {
 protected:
  std::string WriteFile(const std::string& name, const std::string& content) const {
    const std::string path = directory_.path() + "/" + name;
    std::ofstream(path) << content;
    return path;
  }

  const TempDir directory_;
};

TEST_F(SelfTestTest, SendsAnEventThroughABridgeWithoutKeys) {
  const BridgeProcess bridge;
  ExpectSuccess(SelfTest(Addresses(bridge)));
  EXPECT_TRUE(bridge.WaitForMetric("sse_bridge_event_streams", 0));
}

TEST_F(SelfTestTest, TakesAddressesFromTheConfigurationWhereTheyAreNotGiven) {
  const BridgeProcess bridge(Settings());
  std::vector<std::string> arguments;
  for (const std::string& setting : Settings({absl::StrCat("http.address=0.0.0.0:", bridge.http_port()),
                                              absl::StrCat("grpc.address=0.0.0.0:", bridge.grpc_port())})) {
    arguments.insert(arguments.end(), {"--set", setting});
  }
  ExpectSuccess(SelfTest(arguments, {"--ca-file", folder_.ca_file()}));
}

TEST_F(SelfTestTest, SpeaksTlsToBothSides) {
  std::vector<std::string> settings = Settings();
  settings.push_back("grpc.tls.certificate_file=" + folder_.certificate_file());
  settings.push_back("grpc.tls.key_file=" + folder_.key_file());
  const BridgeProcess bridge(settings);
  const std::vector<std::string> addresses = {"--http", absl::StrCat("https://localhost:", bridge.http_port()),
                                              "--grpc", absl::StrCat("https://localhost:", bridge.grpc_port())};
  ExpectSuccess(SelfTest(addresses, {"--ca-file", folder_.ca_file()}));
  EXPECT_THAT(ErrorOf(addresses), AllOf(HasSubstr("self-test: subscribe: "), HasSubstr("certificate")));
  EXPECT_THAT(ErrorOf({addresses[0], addresses[1], "--grpc", bridge.grpc_target(), "--ca-file", folder_.ca_file()}),
              AllOf(HasSubstr("self-test: publish: "), HasSubstr("https://")));
}

TEST_F(SelfTestTest, MakesItsTokenWithTheBridgesKey) {
  const std::string secret =
      WriteFile("secret", "a secret of the tests that has at least the 64 bytes of the digest SHA-512");
  const std::vector<std::string> settings = {
      absl::StrCat("auth.jwt.keys=[{algorithm: HS512, kid: first, secret_file: ", secret, "}]"), "auth.jwt.issuer=shop",
      "auth.jwt.audience=bridge", "auth.jwt.publish_claim=may.publish"};
  const BridgeProcess bridge(settings);
  std::vector<std::string> arguments = Addresses(bridge);
  for (const std::string& setting : settings) {
    arguments.emplace_back("--set");
    arguments.push_back(setting);
  }
  ExpectSuccess(SelfTest(arguments, {"--key-file", secret}));
  EXPECT_THAT(ErrorOf(Addresses(bridge), {"--key-file", secret}), HasSubstr("answered 401"));
  EXPECT_THAT(ErrorOf(Addresses(bridge), {"--key-file", WriteFile("small", "small")}),
              AllOf(HasSubstr("--key-file: "), HasSubstr("32")));
}

TEST_F(SelfTestTest, UsesATopicThatItsTokenLists) {
  const TokenIssuer issuer;
  const BridgeProcess bridge(issuer.Settings({"auth.anonymous.publish=[]"}));
  const auto token = [&](const std::string& subscribe, const std::string& publish) {
    const std::string claims = absl::StrCat(R"("exp": )", absl::ToUnixSeconds(absl::Now() + absl::Hours(1)),
                                            R"(, "bridge.publish": [)", publish, "]");
    return WriteFile("token", issuer.TokenWith(claims, subscribe) + "\n");
  };
  for (const char* const pattern : {R"(">")", R"("bridge-self-test.*")", R"("orders.eu.*", "other")", R"("orders")"}) {
    ExpectSuccess(SelfTest(Addresses(bridge), {"--token-file", token(pattern, pattern)}));
  }
  ExpectSuccess(SelfTest(Addresses(bridge), {"--token-file", token(R"("orders.>")", R"("orders.eu.*")")}));
  EXPECT_THAT(ErrorOf(Addresses(bridge), {"--token-file", token(R"("orders.>")", R"("prices.>")")}),
              AllOf(HasSubstr("--token-file: "), HasSubstr("bridge-self-test.*")));
  EXPECT_THAT(ErrorOf(Addresses(bridge), {"--token-file", WriteFile("none", "none")}), HasSubstr("--token-file: "));
  EXPECT_THAT(ErrorOf(Addresses(bridge), {"--token-file", "/nowhere/token"}), HasSubstr("/nowhere/token"));
}

TEST_F(SelfTestTest, SaysWhatABridgeWithKeysAnswersToSomebodyWithoutAToken) {
  const TokenIssuer issuer;
  const BridgeProcess bridge(issuer.Settings());
  EXPECT_THAT(ErrorOf(Addresses(bridge)), AllOf(HasSubstr("self-test: subscribe: "), HasSubstr("answered 401: ")));
}

TEST_F(SelfTestTest, SaysWhichSideCannotBeReached) {
  const BridgeProcess bridge;
  BridgeProcess gone;
  gone.Stop(SIGKILL);
  EXPECT_THAT(ErrorOf({Addresses(gone)[0], Addresses(gone)[1], "--grpc", bridge.grpc_target()}),
              AllOf(HasSubstr("self-test: subscribe: "), HasSubstr("--http")));
  EXPECT_THAT(ErrorOf({Addresses(bridge)[0], Addresses(bridge)[1], "--grpc", gone.grpc_target()}),
              AllOf(HasSubstr("self-test: publish: "), HasSubstr("--grpc")));
}

TEST_F(SelfTestTest, SaysThatAnAckedEventDidNotComeWhereTwoBridgesShareNoLog) {
  const BridgeProcess one;
  const BridgeProcess other;
  EXPECT_THAT(ErrorOf({Addresses(one)[0], Addresses(one)[1], "--grpc", other.grpc_target(), "--timeout", "1s"}),
              AllOf(HasSubstr("self-test: receive: "), HasSubstr("within 1s"), HasSubstr("shares its log")));
}

TEST_F(SelfTestTest, SaysThatWhatAnswersIsNoBridge) {
  const BridgeProcess bridge;
  const HttpOrigin page([](int fd, const std::atomic<bool>&) { HttpOrigin::Send(fd, "200 OK", "", "<html>\n"); });
  const HttpOrigin lost([](int fd, const std::atomic<bool>&) { HttpOrigin::Send(fd, "404 Not Found", "", "no\n"); });
  const HttpOrigin endless(
      [](int fd, const std::atomic<bool>&) { HttpOrigin::Send(fd, "200 OK", "", std::string(size_t{1} << 20, 'x')); });
  const auto error_with = [&](const HttpOrigin& origin) {
    const std::string url = origin.url();
    return ErrorOf({"--http", url.substr(0, url.rfind('/')), "--grpc", bridge.grpc_target()});
  };
  EXPECT_THAT(error_with(page), HasSubstr("is no event stream"));
  EXPECT_THAT(error_with(lost), HasSubstr("answered 404"));
  EXPECT_THAT(error_with(endless), HasSubstr("is no event stream"));
}

TEST_F(SelfTestTest, OptionsWithoutTheFlagAndTwoKindsOfTokensAreRefused) {
  EXPECT_THAT(RunBridge({"--http", "http://127.0.0.1:8080"}).output, HasSubstr("--self-test"));
  EXPECT_EQ(SelfTest({"--token-file", "a", "--key-file", "b"}).exit_code, 2);
  EXPECT_THAT(ErrorOf({"--timeout", "soon"}), AllOf(HasSubstr("--timeout: \"soon\""), HasSubstr("is no duration")));
}

TEST_F(SelfTestTest, HelpTellsItsOptions) {
  const RunResult help = RunBridge({"--help"});
  for (const char* const option : {"--self-test", "--http", "--grpc", "--token-file", "--key-file", "--ca-file"}) {
    EXPECT_THAT(help.output, HasSubstr(option));
  }
}

}  // namespace
}  // namespace bridge::test
