#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include <nats/nats.h>

#include "tests/support/nats_server.h"
#include "tests/unit/log/event_log_contract.h"

#include "bridge/log/jetstream_log.h"

namespace bridge::log {
namespace {

using ::bridge::test::LogUnderTest;
using ::bridge::test::NatsServer;

// The stream of a test, bounded in events as well, which the log itself does not ask for.
void MakeStream(const std::string& url, const JetStreamOptions& options, size_t events_max) {
  natsConnection* connection = nullptr;
  jsCtx* jetstream = nullptr;
  ASSERT_EQ(natsConnection_ConnectTo(&connection, url.c_str()), NATS_OK);
  ASSERT_EQ(natsConnection_JetStream(&jetstream, connection, nullptr), NATS_OK);
  jsStreamConfig config;
  jsStreamConfig_Init(&config);
  const std::string subject = options.subject_prefix + ".kept.>";
  const char* subjects = subject.c_str();
  config.Name = options.stream.c_str();
  config.Subjects = &subjects;
  config.SubjectsLen = 1;
  config.MaxMsgs = static_cast<int64_t>(events_max);
  config.MaxBytes = static_cast<int64_t>(options.max_bytes);
  config.MaxAge = absl::ToInt64Nanoseconds(options.max_age);
  EXPECT_EQ(js_AddStream(nullptr, jetstream, &config, nullptr, nullptr), NATS_OK);
  jsCtx_Destroy(jetstream);
  natsConnection_Destroy(connection);
}

LogUnderTest MakeJetStreamLog(const LogLimits& limits, uint64_t /*seed*/) {
  static NatsServer server;
  static std::atomic<int> logs{0};
  const std::string name = absl::StrCat("log", ++logs);
  JetStreamOptions options = {.url = server.url(),
                              .stream = name,
                              .subject_prefix = name,
                              .max_age = absl::FromChrono(limits.history.age_max),
                              .max_bytes = limits.history.bytes_max,
                              .idempotency_window = absl::FromChrono(limits.idempotency_window)};
  if (limits.history.events_max < LogLimits().history.events_max) {
    MakeStream(server.url(), options, limits.history.events_max);
  }
  return {.log = std::make_unique<JetStreamLog>(std::move(options),
                                                [](const absl::Status& status) { ADD_FAILURE() << status; }),
          .advance_clock = nullptr,
          .break_store = [] { server.Kill(); },
          .mend_store = [] { server.Start(); }};
}

const LogKind kJetStream = {.name = "JetStream",
                            .make = MakeJetStreamLog,
                            .is_contiguous = false,
                            .acked_ahead_max = jetstream::Publisher::kAckedAheadMax,
                            .has_ordered_ephemeral = false};

INSTANTIATE_TEST_SUITE_P(, EventLogContract, testing::Values(kJetStream), NameOfKind());

}  // namespace
}  // namespace bridge::log
