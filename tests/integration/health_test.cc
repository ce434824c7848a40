// sse-bridge --health: what a container's health check shows.
#include <algorithm>
#include <csignal>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/bridge_process.h"
#include "tests/support/http_origin.h"
#include "tests/support/steady_port.h"

namespace bridge::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

RunResult Health(const std::string& admin_address) {
  return RunBridge({"--health", "--set", "admin.address=" + admin_address});
}

int LinesOf(const std::string& text) { return static_cast<int>(std::count(text.begin(), text.end(), '\n')); }

TEST(HealthTest, IsZeroWhereTheBridgeIsReadyWhateverAddressesItListensOn) {
  for (const char* const host : {"127.0.0.1", "localhost", "0.0.0.0", "[::]"}) {
    const std::string address = absl::StrCat("\"", host, ":", SteadyPort(), "\"");
    const BridgeProcess bridge({"admin.address=" + address});
    const RunResult result = Health(address);
    EXPECT_EQ(result.exit_code, 0) << host << ": " << result.output;
    EXPECT_EQ(result.output, "ready\n");
  }
}

TEST(HealthTest, NeedsNothingOfTheConfigurationButTheAdminAddress) {
  const BridgeProcess bridge({"http.address=0.0.0.0:0", "auth.allow_anonymous=true"});
  const RunResult result = RunBridge({"--health", "--set", "http.address=0.0.0.0:8080", "--set",
                                      absl::StrCat("admin.address=127.0.0.1:", bridge.admin_port())});
  EXPECT_EQ(result.exit_code, 0) << result.output;
}

TEST(HealthTest, IsOneWithOneLineWhereNothingListens) {
  BridgeProcess bridge;
  const std::string address = absl::StrCat("127.0.0.1:", bridge.admin_port());
  bridge.Stop(SIGKILL);
  const RunResult result = Health(address);
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.output, AllOf(HasSubstr("sse-bridge: "), HasSubstr(address), HasSubstr("connect")));
  EXPECT_EQ(LinesOf(result.output), 1) << result.output;
}

TEST(HealthTest, IsOneWhileTheBridgeDrainsAndSaysSo) {
  const BridgeProcess bridge({"drain.delay=1m"});
  const std::string address = absl::StrCat("127.0.0.1:", bridge.admin_port());
  bridge.Signal(SIGTERM);
  RunResult result;
  EXPECT_TRUE(Eventually([&] {
    result = Health(address);
    return result.exit_code != 0;
  }));
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.output, AllOf(HasSubstr("answered 503"), HasSubstr("draining")));
}

TEST(HealthTest, IsOneWhereWhatListensSaysNothing) {
  const HttpOrigin silent([](int /*fd*/, const std::atomic<bool>& is_stopping) {
    EXPECT_TRUE(Eventually([&] { return is_stopping.load(); }, absl::Seconds(30)));
  });
  const std::string url = silent.url();
  const RunResult result = Health(url.substr(7, url.rfind('/') - 7));
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.output, HasSubstr("timed out"));
}

TEST(HealthTest, IsOneWithOneLineWhereTheConfigurationCannotTellThePort) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"--set", "admin.address=127.0.0.1:0"}, {"--config", "/nowhere/config.yaml"}}) {
    std::vector<std::string> all = {"--health"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const RunResult result = RunBridge(all);
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_THAT(result.output, HasSubstr(arguments[1] == "/nowhere/config.yaml" ? arguments[1] : "give it a port"));
    EXPECT_EQ(LinesOf(result.output), 1) << result.output;
  }
}

TEST(HealthTest, HelpTellsIt) { EXPECT_THAT(RunBridge({"--help"}).output, HasSubstr("--health")); }

}  // namespace
}  // namespace bridge::test
