#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "tests/support/bridge_process.h"
#include "tests/support/publisher.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tokens.h"

namespace bridge::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class TokenCommandTest : public ::testing::Test {
 protected:
  std::string WriteFile(const std::string& name, const std::string& content) const {
    const std::string path = directory_.path() + "/" + name;
    std::ofstream(path) << content;
    return path;
  }
  static RunResult Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "token");
    return RunBridge(arguments);
  }
  // What a token says it may not, it has to say before it is taken: 2 is the exit code.
  static std::string ErrorOf(const std::vector<std::string>& arguments) {
    const RunResult result = Run(arguments);
    EXPECT_EQ(result.exit_code, 2) << result.output;
    return result.output;
  }
  // Publishes with a token that the command makes, at a bridge with such a key.
  void ExpectTaken(const std::string& key, const std::string& signing_key_file, const std::vector<std::string>& more) {
    const BridgeProcess bridge({absl::StrCat("auth.jwt.keys=[", key, "]"), "auth.jwt.audience=bridge"});
    std::vector<std::string> arguments = {"--publish", "orders.>",   "--publish", "prices.>", "--subject",
                                          "shop",      "--audience", "bridge",    "--key",    signing_key_file};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const RunResult made = Run(arguments);
    ASSERT_EQ(made.exit_code, 0) << made.output;
    Publisher publisher(bridge.grpc_target());
    publisher.SetToken(std::string(absl::StripSuffix(made.output, "\n")));
    EXPECT_TRUE(publisher.Publish({TextEvent("orders.a", "x"), TextEvent("prices.a", "x")}).rejected().empty());
    EXPECT_EQ(publisher.Publish(TextEvent("other", "x")).rejected_size(), 1);
  }

  const TempDir directory_;
};

TEST_F(TokenCommandTest, MakesTokensThatTheBridgeTakes) {
  const std::string secret = WriteFile("secret", "a secret for tests that is at least 32 bytes long\n");
  ExpectTaken("{algorithm: HS256, secret_file: " + secret + "}", secret, {});
  const KeyPair pair = MakeEcKeyPair("P-256");
  const std::string public_key = WriteFile("public.pem", pair.public_pem);
  ExpectTaken("{algorithm: ES256, kid: k, public_key_file: " + public_key + "}",
              WriteFile("private.pem", pair.private_pem), {"--kid", "k", "--ttl", "5m"});
  ExpectTaken("{algorithm: PS256, public_key_file: " + WriteFile("rsa.pub.pem", SharedRsaKeyPair().public_pem) + "}",
              WriteFile("rsa.pem", SharedRsaKeyPair().private_pem), {"--algorithm", "PS256"});
}

TEST_F(TokenCommandTest, SaysWhichArgumentIsWrongAndWhatWouldBeRight) {
  const std::string secret = WriteFile("secret", "a secret for tests that is at least 32 bytes long\n");
  EXPECT_THAT(ErrorOf({"--subscribe", "a"}), HasSubstr("--key"));
  EXPECT_THAT(ErrorOf({"--key", secret}), HasSubstr("--subscribe"));
  EXPECT_THAT(ErrorOf({"--subscribe", "a..b", "--key", secret}), HasSubstr("a..b"));
  EXPECT_THAT(ErrorOf({"--subscribe", "a", "--key", secret, "--ttl", "soon"}),
              AllOf(HasSubstr("--ttl: \"soon\""), HasSubstr("is no duration")));
  EXPECT_THAT(ErrorOf({"--subscribe", "a", "--key", secret, "--algorithm", "none"}),
              AllOf(HasSubstr("--algorithm: \"none\""), HasSubstr("HS256")));
  EXPECT_THAT(ErrorOf({"--subscribe", "a", "--key", "/nowhere/key"}), HasSubstr("--key: /nowhere/key"));
  const std::string small = WriteFile("small", "small");
  EXPECT_THAT(ErrorOf({"--subscribe", "a", "--key", small}), AllOf(HasSubstr("--key: " + small), HasSubstr("32")));
}

TEST_F(TokenCommandTest, HelpNamesItsOptions) {
  const RunResult help = Run({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  for (const char* const option :
       {"--subscribe", "--publish", "--call", "--serve", "--ttl", "--key", "--subject", "--issuer", "--audience",
        "--kid", "--algorithm", "--call-claim", "--serve-claim", "sse-bridge token --subscribe 'orders.>'"}) {
    EXPECT_THAT(help.output, HasSubstr(option));
  }
  EXPECT_THAT(RunBridge({"--help"}).output, HasSubstr("token"));
}

}  // namespace
}  // namespace bridge::test
