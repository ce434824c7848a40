#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <memory>
#include <sys/resource.h>
#include <utility>

#include "tests/support/temp_dir.h"
#include "tests/unit/log/event_log_contract.h"

#include "bridge/log/disk_log.h"

namespace bridge::log {
namespace {

using ::bridge::test::LogUnderTest;

// How far this process may write into a file; beyond it a write fails as on a disk with no room.
void LimitFiles(rlim_t bytes_max) {
  signal(SIGXFSZ, SIG_IGN);
  rlimit limit = {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  limit.rlim_cur = std::min(bytes_max, limit.rlim_max);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

LogUnderTest MakeDiskLog(const LogLimits& limits, DiskLog::Sync sync) {
  using Duration = base::MonotonicClock::duration;
  const auto elapsed = std::make_shared<std::atomic<Duration::rep>>(0);
  const auto directory = std::make_shared<test::TempDir>();
  absl::StatusOr<std::unique_ptr<DiskLog>> log = DiskLog::Open({
      .path = directory->path() + "/log",
      .sync = sync,
      .sync_interval = std::chrono::milliseconds(20),
      .bytes_max = limits.history.bytes_max,
      .age_max = limits.history.age_max,
      .idempotency_window = limits.idempotency_window,
      .idempotency_keys_max = limits.idempotency_keys_max,
      .clock = {.monotonic = [elapsed] { return base::MonotonicClock::now() + Duration(elapsed->load()); }},
  });
  EXPECT_TRUE(log.ok()) << log.status();
  // The directory lives as long as the log's clock.
  return {.log = *std::move(log),
          .advance_clock = [elapsed, directory](Duration by) { *elapsed += by.count(); },
          .break_store = [] { LimitFiles(0); },
          .mend_store = [] { LimitFiles(RLIM_INFINITY); }};
}

LogKind KindOf(std::string name, DiskLog::Sync sync) {
  return {.name = std::move(name),
          .make = [sync](const LogLimits& limits, uint64_t /*seed*/) { return MakeDiskLog(limits, sync); },
          .has_events_max = false};
}

INSTANTIATE_TEST_SUITE_P(, EventLogContract,
                         testing::Values(KindOf("EachBatch", DiskLog::Sync::kEachBatch),
                                         KindOf("Interval", DiskLog::Sync::kInterval)),
                         NameOfKind());

}  // namespace
}  // namespace bridge::log
