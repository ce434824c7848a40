#include "bridge/config/validate.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bridge/config/config.h"

namespace bridge::config {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// What is wrong with the default configuration after `overrides`; empty where nothing is.
std::string ErrorOf(const std::vector<std::string>& overrides) {
  return std::string(Load({.path = std::nullopt, .overrides = overrides}).status().message());
}

TEST(ValidateTest, TheDefaultsAreValid) { EXPECT_EQ(ErrorOf({}), ""); }

TEST(ValidateTest, RetryMinIsAtMostRetryMax) {
  EXPECT_EQ(ErrorOf({"http.retry_min=1m", "http.retry_max=1m"}), "");
  EXPECT_THAT(ErrorOf({"http.retry_min=2m", "http.retry_max=1m"}),
              AllOf(HasSubstr("http.retry_max: 1m"), HasSubstr("http.retry_min, which is 2m")));
}

TEST(ValidateTest, AnyOriginGoesWithoutCredentials) {
  EXPECT_EQ(ErrorOf({"http.cors.allowed_origins=['*']"}), "");
  EXPECT_EQ(ErrorOf({"http.cors.allowed_origins=[https://a.example]", "http.cors.allow_credentials=true"}), "");
  EXPECT_THAT(ErrorOf({"http.cors.allowed_origins=[https://a.example, '*']", "http.cors.allow_credentials=true"}),
              HasSubstr("http.cors.allow_credentials: true does not go with the origin \"*\""));
}

TEST(ValidateTest, BoundsHoldWhatTheyBound) {
  EXPECT_THAT(ErrorOf({"grpc.max_bytes_in_flight=1MiB"}),
              HasSubstr("grpc.max_bytes_in_flight: 1MiB is smaller than grpc.max_request_bytes, which is 4MiB"));
  EXPECT_THAT(
      ErrorOf({"grpc.max_bytes_in_flight_total=8MiB"}),
      HasSubstr("grpc.max_bytes_in_flight_total: 8MiB is smaller than grpc.max_bytes_in_flight, which is 16MiB"));
  EXPECT_THAT(ErrorOf({"grpc.max_events_in_flight=10"}),
              HasSubstr("grpc.max_events_in_flight: 10 is smaller than grpc.max_events_per_request, which is 1000"));
  EXPECT_THAT(ErrorOf({"log.history.max_bytes=100KiB"}),
              HasSubstr("log.history.max_bytes: 100KiB is smaller than http.max_frame_bytes, which is 512KiB"));
  EXPECT_THAT(ErrorOf({"http.max_pinned_bytes=1MiB", "http.max_frame_bytes=2MiB"}),
              HasSubstr("http.max_pinned_bytes: 1MiB is smaller than http.max_frame_bytes, which is 2MiB"));
}

TEST(ValidateTest, ALogHoldsTheLargestEvent) {
  for (const std::string log : {"disk", "jetstream"}) {
    const std::string chosen = log == "disk" ? "log.disk.path=/var/lib/bridge" : "log.jetstream.url=nats://a";
    const std::string bytes = "log." + log + ".max_bytes=";
    EXPECT_EQ(ErrorOf({chosen, bytes + "1028KiB", "http.max_frame_bytes=1MiB"}), "");
    EXPECT_THAT(ErrorOf({chosen, bytes + "1MiB", "http.max_frame_bytes=1MiB"}),
                HasSubstr("log." + log +
                          ".max_bytes: 1MiB is too small for an event of http.max_frame_bytes, which is "
                          "1MiB: it would be trimmed as it is stored; write 1028KiB or more, or make "
                          "http.max_frame_bytes smaller"));
  }
}

TEST(ValidateTest, ThereIsOneLog) {
  EXPECT_EQ(ErrorOf({"log.jetstream.url='nats://localhost:4222'"}), "");
  EXPECT_EQ(ErrorOf({"log.disk.path=/var/lib/bridge", "log.disk.sync=interval"}), "");
  EXPECT_THAT(ErrorOf({"log.jetstream.url='nats://localhost:4222'", "log.disk.path=/var/lib/bridge"}),
              HasSubstr("log.disk.path: log.jetstream.url is set too"));
  EXPECT_THAT(ErrorOf({"log.jetstream.replicas=3"}), HasSubstr("log.jetstream.url: is missing"));
  EXPECT_THAT(ErrorOf({"log.disk.sync=interval"}), HasSubstr("log.disk.path: is missing"));
  EXPECT_THAT(ErrorOf({"log.jetstream.url=nats://a", "log.jetstream.stream=a.b"}), HasSubstr("is no name"));
  EXPECT_THAT(ErrorOf({"log.jetstream.url=nats://a", "log.jetstream.subject_prefix='a.*'"}),
              HasSubstr("is no subject"));
  EXPECT_THAT(ErrorOf({"log.jetstream.url=nats://a", "log.jetstream.tls.key_file=key.pem"}),
              HasSubstr("certificate_file and key_file"));
}

TEST(ValidateTest, ACertificateHasAKey) {
  EXPECT_EQ(ErrorOf({"http.tls.certificate_file=a.pem", "http.tls.key_file=b.pem"}), "");
  EXPECT_THAT(ErrorOf({"http.tls.certificate_file=a.pem"}), HasSubstr("http.tls.key_file: is missing"));
  EXPECT_THAT(ErrorOf({"http.tls.key_file=a.pem"}), HasSubstr("http.tls.certificate_file: is missing"));
  EXPECT_THAT(ErrorOf({"http.tls.client_ca_file=a.pem"}), HasSubstr("http.tls.client_ca_file: is set, and"));
}

TEST(ValidateTest, ListenersDoNotShareAPort) {
  EXPECT_THAT(ErrorOf({"grpc.address=127.0.0.1:8080"}),
              HasSubstr("grpc.address: \"127.0.0.1:8080\" is taken by http.address"));
  EXPECT_THAT(ErrorOf({"admin.address=127.0.0.1:9090"}),
              HasSubstr("admin.address: \"127.0.0.1:9090\" is taken by grpc.address"));
  EXPECT_EQ(ErrorOf({"http.address=127.0.0.1:0", "grpc.address=127.0.0.1:0", "admin.address=127.0.0.1:0"}), "");
}

TEST(ValidateTest, AStreamsAgeIsOffOrASecondAtLeast) {
  EXPECT_EQ(ErrorOf({"http.stream_max_age=1s", "grpc.stream_max_age=0s"}), "");
  EXPECT_THAT(ErrorOf({"http.stream_max_age=10ms"}), HasSubstr("http.stream_max_age: 10ms is too short"));
  EXPECT_THAT(ErrorOf({"grpc.stream_max_age=10ms"}), HasSubstr("grpc.stream_max_age: 10ms is too short"));
}

}  // namespace
}  // namespace bridge::config
