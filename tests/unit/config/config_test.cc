#include "bridge/config/config.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

#include "bridge/config/value_syntax.h"

namespace bridge::config {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

v1::Config Loaded(absl::string_view text, const std::vector<std::string>& overrides = {}) {
  absl::StatusOr<v1::Config> config = LoadText(text, "bridge.yaml", overrides);
  EXPECT_TRUE(config.ok()) << config.status();
  return config.ok() ? *config : v1::Config();
}

std::string ErrorOf(absl::string_view text, const std::vector<std::string>& overrides = {}) {
  return std::string(LoadText(text, "bridge.yaml", overrides).status().message());
}

TEST(ConfigTest, WithoutAnythingEverySectionHasItsDefaults) {
  const absl::StatusOr<v1::Config> config = Load({});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->http().address(), "127.0.0.1:8080");
  EXPECT_EQ(FromProto(config->http().heartbeat()), absl::Seconds(15));
  EXPECT_EQ(config->http().slow_client(), v1::Http::gap);
  EXPECT_EQ(config->http().max_frame_bytes(), uint64_t{512} << 10);
  EXPECT_TRUE(config->http().has_cors());
  EXPECT_EQ(config->grpc().reflection(), v1::Grpc::auto_);
  EXPECT_EQ(config->log().history().max_events(), 100'000U);
  EXPECT_EQ(config->logging().level(), v1::Logging::info);
  EXPECT_EQ(config->payload().json_names(), v1::Payload::lower_camel);
}

TEST(ConfigTest, TheFileWinsOverTheDefaultsAndOverridesOverTheFile) {
  const v1::Config config =
      Loaded(R"(
http:
  heartbeat: 20s
  retry: 3s
  slow_client: disconnect
  allowed_hosts: [a.example, b.example]
  cors:
    allowed_origins:
      - https://a.example
grpc: {reflection: on}
log:
  history: {max_bytes: 1GiB}
)",
             {"http.retry=4s", "http.allowed_hosts=[c.example]", "http.cors.allow_credentials=true", "http.retry=5s"});
  EXPECT_EQ(FromProto(config.http().heartbeat()), absl::Seconds(20));
  EXPECT_EQ(FromProto(config.http().retry()), absl::Seconds(5));
  EXPECT_EQ(config.http().slow_client(), v1::Http::disconnect);
  EXPECT_THAT(config.http().allowed_hosts(), ElementsAre("c.example"));
  EXPECT_THAT(config.http().cors().allowed_origins(), ElementsAre("https://a.example"));
  EXPECT_TRUE(config.http().cors().allow_credentials());
  EXPECT_EQ(config.grpc().reflection(), v1::Grpc::on);
  EXPECT_EQ(config.log().history().max_bytes(), uint64_t{1} << 30);
  EXPECT_EQ(config.grpc().address(), "127.0.0.1:9090");
}

TEST(ConfigTest, ASectionMayBeEmpty) { EXPECT_EQ(Loaded("http:\n#  retry: 3s\n").http().address(), "127.0.0.1:8080"); }

TEST(ConfigTest, AListOfSectionsHasTheirDefaultsAndErrorsNameTheElement) {
  const v1::Config config = Loaded(R"(
auth:
  jwt:
    keys:
      - {kid: a, algorithm: HS256, secret_file: a.key}
      - algorithm: RS256
        public_key_file: b.pem
    algorithms: [HS256, RS256]
)");
  ASSERT_EQ(config.auth().jwt().keys_size(), 2);
  EXPECT_EQ(config.auth().jwt().keys(0).kid(), "a");
  EXPECT_EQ(config.auth().jwt().keys(0).algorithm(), v1::Jwt::HS256);
  EXPECT_EQ(config.auth().jwt().keys(1).kid(), "");
  EXPECT_EQ(config.auth().jwt().keys(1).public_key_file(), "b.pem");
  EXPECT_THAT(config.auth().jwt().algorithms(), ElementsAre(v1::Jwt::HS256, v1::Jwt::RS256));

  EXPECT_EQ(Loaded("auth: {jwt: {keys: [{algorithm: HS256, secret_file: a}]}}", {"auth.jwt.keys=[]"})
                .auth()
                .jwt()
                .keys_size(),
            0)
      << "a list replaces a list";
  EXPECT_EQ(ErrorOf("auth:\n  jwt:\n    keys:\n      - {algorithm: HS256, secret: a}"),
            "bridge.yaml:4: auth.jwt.keys[0].secret: unknown key; the keys here are kid, algorithm, secret_file, "
            "public_key_file");
  EXPECT_THAT(ErrorOf("auth: {jwt: {keys: {algorithm: HS256}}}"),
              HasSubstr("auth.jwt.keys: a section stands where a list of sections belongs: write [{key: value}]"));
  EXPECT_THAT(ErrorOf("auth: {jwt: {keys: [HS256]}}"),
              HasSubstr("auth.jwt.keys[0]: \"HS256\" stands where a section belongs"));
  EXPECT_THAT(ErrorOf("auth: {jwt: {keys: [{kid: [a]}]}}"),
              HasSubstr("auth.jwt.keys[0].kid: a list stands where a single value belongs"));
  EXPECT_THAT(ErrorOf("auth: {jwt: {algorithms: [HS256, none]}}"),
              HasSubstr("auth.jwt.algorithms[1]: \"none\" is none of"));
}

TEST(ConfigTest, ASwitchIsAlsoTrueOrFalse) {
  EXPECT_EQ(Loaded("console: {enabled: true}").console().enabled(), v1::Grpc::on);
  EXPECT_EQ(Loaded("console: {enabled: off}").console().enabled(), v1::Grpc::off);
  EXPECT_EQ(Loaded("console: {enabled: \"false\"}").console().enabled(), v1::Grpc::off);
  EXPECT_EQ(Loaded("console: {enabled: auto}").console().enabled(), v1::Grpc::auto_);
  EXPECT_EQ(ErrorOf("console: {enabled: maybe}"), "bridge.yaml:1: console.enabled: \"maybe\" is none of auto, on, off");
}

TEST(ConfigTest, AnUnknownKeyGetsTheNearestOrAllThatThereAre) {
  EXPECT_EQ(ErrorOf("http:\n  adress: 127.0.0.1:1\n"),
            "bridge.yaml:2: http.adress: unknown key; did you mean address?");
  EXPECT_EQ(ErrorOf("http:\n  maxTopics: 3\n"), "bridge.yaml:2: http.maxTopics: unknown key; did you mean max_topics?");
  EXPECT_EQ(ErrorOf("drain:\n  speed: 3\n"),
            "bridge.yaml:2: drain.speed: unknown key; the keys here are delay, window");
  EXPECT_EQ(ErrorOf("x: 1\n"),
            "bridge.yaml:1: x: unknown key; the keys here are http, grpc, admin, log, payload, drain, logging, "
            "console, auth, limits, calls");
  EXPECT_EQ(ErrorOf("http: {cors: {\"evil\\n[31m\": 1}}"),
            "bridge.yaml:1: http.cors.evil\\n[31m: unknown key; the keys here are allowed_origins, allow_credentials");
}

TEST(ConfigTest, ADoubleKeyIsNamedWithItsLine) {
  EXPECT_EQ(ErrorOf("http:\n  retry: 1s\n  heartbeat: 1s\n  retry: 2s\n"),
            "bridge.yaml:4: http.retry: stands here a second time; remove one of the two");
  EXPECT_THAT(ErrorOf("http: {}\nhttp: {}\n"), StartsWith("bridge.yaml:2: http: stands here a second time"));
}

TEST(ConfigTest, AWrongKindSaysWhatBelongsThere) {
  EXPECT_EQ(ErrorOf("http: 8080\n"),
            "bridge.yaml:1: http: \"8080\" stands where a section belongs: write key: value pairs");
  EXPECT_THAT(ErrorOf("- http\n"), HasSubstr("bridge.yaml:1: a list stands where a section belongs"));
  EXPECT_THAT(ErrorOf("http: [1]\n"), HasSubstr("http: a list stands where a section belongs"));
  EXPECT_THAT(ErrorOf("http:\n  address: [127.0.0.1:1]\n"),
              HasSubstr("http.address: a list stands where a single value belongs"));
  EXPECT_THAT(ErrorOf("http:\n  heartbeat: {seconds: 1}\n"),
              HasSubstr("http.heartbeat: a section stands where a single value belongs"));
  EXPECT_THAT(ErrorOf("http:\n  allowed_hosts: a.example\n"),
              HasSubstr("http.allowed_hosts: \"a.example\" stands where a list belongs: write [a, b]"));
  EXPECT_THAT(ErrorOf("http:\n  allowed_hosts: [a.example, [b]]\n"),
              HasSubstr("http.allowed_hosts[1]: a list stands where a single value belongs"));
  EXPECT_THAT(ErrorOf("http:\n  retry:\n"), HasSubstr("bridge.yaml:2: http.retry: has no value"));
}

TEST(ConfigTest, ABadValueIsShownWithWhatWouldBeRight) {
  struct Case {
    const char* yaml;
    const char* error;
  };
  for (const Case& c : {
           Case{"http:\n  heartbeat: 15",
                "bridge.yaml:2: http.heartbeat: \"15\" is no duration: add a unit, as in 15s"},
           Case{"http:\n  heartbeat: 1ms", "http.heartbeat: \"1ms\" is too small: the smallest value is 100ms"},
           Case{"http:\n  heartbeat: 2h", "http.heartbeat: \"2h\" is too large: the largest value is 1h"},
           Case{"http:\n  max_frame_bytes: 64MB", "http.max_frame_bytes: \"64MB\" is no size"},
           Case{"http:\n  max_frame_bytes: 1GiB",
                "http.max_frame_bytes: \"1GiB\" is too large: the largest value is 64MiB"},
           Case{"http:\n  max_frame_bytes: 99999999999999999999",
                "http.max_frame_bytes: \"99999999999999999999\" is too large"},
           Case{"http:\n  max_topics: 0", "http.max_topics: \"0\" is too small: the smallest value is 1"},
           Case{"http:\n  max_event_streams: 4294967296",
                "http.max_event_streams: \"4294967296\" is too large: the largest value is 4294967295"},
           Case{"http:\n  max_event_streams: -1", "http.max_event_streams: \"-1\" is no whole number"},
           Case{"http:\n  slow_client: SLOW_CLIENT_UNSPECIFIED", "is none of gap, disconnect"},
           Case{"http:\n  slow_client: Gap", "\"Gap\" is none of gap, disconnect"},
           Case{"http: {cors: {allow_credentials: yes}}",
                "http.cors.allow_credentials: \"yes\" is neither true nor false"},
           Case{"http:\n  address: 8080", "http.address: \"8080\" has no port: write host:port"},
           Case{"http:\n  address: ''", "http.address: \"\" is empty"},
           Case{"http:\n  allowed_hosts: [\"a.example:80\"]", "http.allowed_hosts[0]: \"a.example:80\" is no host"},
           Case{"http: {cors: {allowed_origins: [\"https://a.example/\"]}}",
                "http.cors.allowed_origins[0]: \"https://a.example/\" is no origin"},
           Case{R"(payload: {descriptor_sets: ["a\0.pb"]})",
                R"(payload.descriptor_sets[0]: "a\x00.pb" has characters that are no text)"},
       }) {
    EXPECT_THAT(ErrorOf(c.yaml), HasSubstr(c.error)) << c.yaml;
  }
}

TEST(ConfigTest, ValuesTakeEnvironmentVariables) {
  setenv("BRIDGE_TEST_PORT", "4711", 1);
  setenv("BRIDGE_TEST_BYTES", "\xFF", 1);
  unsetenv("BRIDGE_TEST_UNSET");
  EXPECT_EQ(Loaded("http:\n  address: 127.0.0.1:${BRIDGE_TEST_PORT}").http().address(), "127.0.0.1:4711");
  EXPECT_EQ(Loaded("http:\n  max_topics: ${BRIDGE_TEST_PORT}").http().max_topics(), 4711U);
  EXPECT_EQ(Loaded("", {"http.max_topics=${BRIDGE_TEST_PORT}"}).http().max_topics(), 4711U);
  EXPECT_EQ(ErrorOf("http:\n  address: \"${BRIDGE_TEST_UNSET}\""),
            "bridge.yaml:2: http.address: \"${BRIDGE_TEST_UNSET}\" needs the environment variable BRIDGE_TEST_UNSET, "
            "which is not set");
  EXPECT_THAT(ErrorOf("payload: {descriptor_sets: [\"${BRIDGE_TEST_BYTES}\"]}"),
              HasSubstr("characters that are no text"));
  EXPECT_EQ(Loaded("payload: {descriptor_sets: [\"$${A}\"]}").payload().descriptor_sets(0), "${A}");
}

TEST(ConfigTest, OverridesAreYamlAndNamedInErrors) {
  EXPECT_EQ(Loaded("", {"http.address=\"[::1]:80\""}).http().address(), "[::1]:80");
  EXPECT_EQ(FromProto(Loaded("", {"drain={delay: 1s, window: 2s}"}).drain().window()), absl::Seconds(2));
  EXPECT_THAT(ErrorOf("", {"http.heartbeat=15"}),
              StartsWith("--set http.heartbeat=15: http.heartbeat: \"15\" is no duration: "));
  EXPECT_EQ(ErrorOf("", {"http.heartbeet=15s"}),
            "--set http.heartbeet=15s: http.heartbeet: unknown key; did you mean heartbeat?");
  EXPECT_THAT(ErrorOf("", {"http.retry.seconds=1"}),
              HasSubstr("http.retry: a section stands where a single value belongs"));
  EXPECT_THAT(ErrorOf("", {"http.address=[::]:80"}),
              AllOf(StartsWith("--set http.address=[::]:80: "), HasSubstr("in quotes")));
  EXPECT_THAT(ErrorOf("", {"http.heartbeat="}), HasSubstr("http.heartbeat: has no value"));
  for (const char* text : {"", "http", "=1", "http.=1", ".=1", "a.b.c.d.e.f.g.h.i.j=1"}) {
    EXPECT_THAT(ErrorOf("", {text}), StartsWith(absl::StrCat("--set ", text, ": "))) << text;
  }
}

TEST(ConfigTest, ContradictionsNameTheFile) {
  EXPECT_THAT(ErrorOf("http: {retry_min: 2h}"),
              StartsWith("bridge.yaml: http.retry_max: 1h is shorter than http.retry_min"));
}

class ConfigFileTest : public ::testing::Test {
 protected:
  ConfigFileTest() : path_(absl::StrCat(::testing::TempDir(), "/config_test_", getpid(), ".yaml")) {}
  ~ConfigFileTest() override { std::filesystem::remove(path_); }

  void Write(absl::string_view text) {
    std::ofstream(path_, std::ios::binary).write(text.data(), static_cast<std::streamsize>(text.size()));
  }
  std::string Error() const { return std::string(Load({.path = path_, .overrides = {}}).status().message()); }

  const std::string path_;
};

TEST_F(ConfigFileTest, IsRead) {
  Write("http:\n  retry: 7s\n");
  const absl::StatusOr<v1::Config> config = Load({.path = path_, .overrides = {"http.heartbeat=1s"}});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(FromProto(config->http().retry()), absl::Seconds(7));
  EXPECT_EQ(FromProto(config->http().heartbeat()), absl::Seconds(1));
}

TEST_F(ConfigFileTest, ErrorsNameItsPathAndLine) {
  Write("http:\n  retry: 7\n");
  EXPECT_THAT(Error(), StartsWith(absl::StrCat(path_, ":2: http.retry: \"7\" ")));
}

TEST_F(ConfigFileTest, SaysWhyItCannotBeRead) {
  EXPECT_TRUE(absl::IsNotFound(Load({.path = path_, .overrides = {}}).status()));
  EXPECT_THAT(Error(), AllOf(HasSubstr(path_), HasSubstr("cannot be read"), HasSubstr("No such file")));
  const absl::Status directory = Load({.path = ::testing::TempDir(), .overrides = {}}).status();
  EXPECT_THAT(std::string(directory.message()), AllOf(HasSubstr("cannot be read"), HasSubstr("directory")));
}

TEST_F(ConfigFileTest, IsAtMostOneMebibyte) {
  Write(absl::StrCat("#", std::string((size_t{1} << 20) - 1, 'x')));
  EXPECT_EQ(Error(), "");
  Write(absl::StrCat("#", std::string(size_t{1} << 20, 'x')));
  EXPECT_EQ(Error(), absl::StrCat(path_, ": is larger than 1MiB, no configuration is"));
  EXPECT_THAT(std::string(Load({.path = "/dev/zero", .overrides = {}}).status().message()),
              HasSubstr("larger than 1MiB"));
}

}  // namespace
}  // namespace bridge::config
