#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/config_reference.h"
#include "tests/support/reference_page.h"

#include "bridge/config/config.h"

namespace bridge::config {
namespace {

using ::testing::HasSubstr;

// What the design promises. The proto's default_value options have to agree, and with them the page that is made of
// them.
struct Default {
  const char* key;
  const char* value;
};
constexpr Default kDefaults[] = {
    {"http.address", "127.0.0.1:8080"},
    {"http.event_loops", "0"},
    {"http.heartbeat", "15s"},
    {"http.retry", "2s"},
    {"http.send_timeout", "30s"},
    {"http.slow_client", "gap"},
    {"http.max_event_streams", "0"},
    {"http.stream_max_age", "0s"},
    {"http.max_topics", "100"},
    {"http.max_frame_bytes", "512KiB"},
    {"http.max_head_bytes", "16KiB"},
    {"http.head_timeout", "10s"},
    {"http.max_body_bytes", "64KiB"},
    {"http.idle_timeout", "60s"},
    {"http.retry_min", "100ms"},
    {"http.retry_max", "1h"},
    {"http.max_pinned_bytes", "64MiB"},
    {"http.allowed_hosts", "[]"},
    {"http.cors.allowed_origins", "[]"},
    {"http.cors.allow_credentials", "false"},
    {"grpc.address", "127.0.0.1:9090"},
    {"grpc.max_request_bytes", "4MiB"},
    {"grpc.max_events_per_request", "1000"},
    {"grpc.max_events_in_flight", "10000"},
    {"grpc.max_bytes_in_flight", "16MiB"},
    {"grpc.max_bytes_in_flight_total", "256MiB"},
    {"grpc.stream_max_age", "0s"},
    {"grpc.reflection", "auto"},
    {"admin.address", "127.0.0.1:8081"},
    {"log.history.max_events", "100000"},
    {"log.history.max_bytes", "256MiB"},
    {"log.history.max_age", "1h"},
    {"log.idempotency_window", "2m"},
    {"log.idempotency_keys_max", "1000000"},
    {"log.jetstream.stream", "BRIDGE"},
    {"log.jetstream.subject_prefix", "bridge"},
    {"log.jetstream.replicas", "1"},
    {"log.jetstream.max_age", "24h"},
    {"log.jetstream.max_bytes", "10GiB"},
    {"log.jetstream.update", "false"},
    {"log.disk.sync", "each_batch"},
    {"log.disk.sync_interval", "200ms"},
    {"log.disk.max_bytes", "10GiB"},
    {"log.disk.max_age", "24h"},
    {"payload.descriptor_sets", "[]"},
    {"payload.json_names", "lower_camel"},
    {"drain.delay", "5s"},
    {"drain.window", "20s"},
    {"logging.level", "info"},
    {"logging.format", "text"},
    {"console.enabled", "auto"},
    {"auth.jwt.algorithms", "[]"},
    {"auth.jwt.leeway", "30s"},
    {"auth.jwt.subscribe_claim", "bridge.subscribe"},
    {"auth.jwt.publish_claim", "bridge.publish"},
    {"auth.jwt.call_claim", "bridge.call"},
    {"auth.jwt.serve_claim", "bridge.serve"},
    {"auth.tickets.enabled", "auto"},
    {"auth.tickets.ttl", "30s"},
    {"auth.anonymous.subscribe", "[]"},
    {"auth.anonymous.publish", "[]"},
    {"auth.anonymous.call", "[]"},
    {"auth.anonymous.serve", "[]"},
    {"auth.allow_anonymous", "false"},
};

// Needs BRIDGE_SOURCE_DIR and BRIDGE_CONFIG_DESCRIPTORS (the descriptor set of config.proto with its comments) in its
// environment.
class ReferenceTest : public ::testing::Test {
 protected:
  const std::string reference_ = test::ConfigReference(test::DescriptorsNamedBy("BRIDGE_CONFIG_DESCRIPTORS"));
};

TEST_F(ReferenceTest, ThePageIsUpToDate) {
  test::ExpectPageIs("configuration.md", reference_, "scripts/config-reference");
}

TEST_F(ReferenceTest, ThePageHasTheDesignsDefaults) {
  for (const Default& d : kDefaults) {
    EXPECT_THAT(reference_, HasSubstr(absl::StrCat("| `", d.key, "` | `", d.value, "` |")));
  }
}

TEST(DefaultsTest, AFileOfTheDesignsDefaultsChangesNothing) {
  std::vector<std::string> overrides;
  for (const Default& d : kDefaults) {
    overrides.push_back(absl::StrCat(d.key, "=", d.value));
  }
  const absl::StatusOr<v1::Config> defaults = Load({});
  const absl::StatusOr<v1::Config> config = Load({.path = std::nullopt, .overrides = overrides});
  ASSERT_TRUE(defaults.ok()) << defaults.status();
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->DebugString(), defaults->DebugString());
}

}  // namespace
}  // namespace bridge::config
