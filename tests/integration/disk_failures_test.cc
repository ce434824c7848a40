// The log on a disk that does not do what it is told.
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/support/bridge_process.h"
#include "tests/support/certificates.h"
#include "tests/support/files.h"
#include "tests/support/publisher.h"
#include "tests/support/raw_http.h"
#include "tests/support/sse_client.h"
#include "tests/support/temp_dir.h"

namespace bridge::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class DiskFailures : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!CanMeasureMemory()) {
      GTEST_SKIP() << "a sanitizer's build wants to be the first library that is loaded";
    }
  }

  void Start(const std::string& sync) {
    const char* const library = std::getenv("FAILING_DISK_LIBRARY");  // NOLINT(concurrency-mt-unsafe): nobody sets it
    ASSERT_NE(library, nullptr) << "run this test by ctest";
    bridge_ = std::make_unique<BridgeProcess>(
        std::vector<std::string>{absl::StrCat("log.disk.path=", directory_.path(), "/log"),
                                 absl::StrCat("log.disk.sync=", sync), "log.disk.sync_interval=20ms", "drain.delay=0s",
                                 "drain.window=100ms"},
        BridgeProcess::Environment{
            {absl::StrCat("LD_PRELOAD=", library), absl::StrCat("FAILING_DISK=", FailingCalls())}});
  }

  // From now on these calls fail; a space before and after each.
  void Break(const std::string& calls) const { ReplaceFile(FailingCalls(), calls + "\n"); }
  void Mend() const { std::filesystem::remove(FailingCalls()); }

  // By its idempotency key, so that it may be sent again.
  grpc::Status Publish(const std::string& text) const {
    v1::PublishRequest request;
    *request.add_events() = TextEvent("a", text);
    request.mutable_events(0)->set_idempotency_key(text);
    v1::Ack ack;
    return Publisher(bridge_->grpc_target(), Publisher::Channel::kOwn).TryPublish(request, &ack);
  }

  // What a client gets that asks for all.
  std::vector<std::string> ReplayAll() const {
    SseClient client(bridge_->http_port(), "/events?topic=a&replay=all");
    client.ReadOpen();
    return client.NextData(1000, absl::Milliseconds(500));
  }

  std::unique_ptr<BridgeProcess> bridge_;

 private:
  std::string FailingCalls() const { return directory_.path() + "/failing"; }

  const TempDir directory_;
};

// The calls by which a store may learn that the disk is broken.
class DiskFailuresOf : public DiskFailures, public ::testing::WithParamInterface<std::string> {};

TEST_P(DiskFailuresOf, RefuseEventsUntilTheBridgeIsStartedAgain) {
  Start("each_batch");
  ASSERT_TRUE(Publish("0").ok());
  ASSERT_TRUE(Publish("1").ok());
  SseClient client(bridge_->http_port(), "/events?topic=a");
  const std::string id = client.ReadOpen();
  Break(GetParam());
  const grpc::Status refused = Publish("2");
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(refused.error_message(), HasSubstr("nothing more is written until a restart"));
  EXPECT_TRUE(bridge_->WaitForMetric("sse_bridge_log_up", 0));
  Mend();
  EXPECT_EQ(Publish("3").error_code(), grpc::StatusCode::UNAVAILABLE) << "what the disk holds is not known";
  EXPECT_EQ(client.NextOwn(absl::Milliseconds(200)), std::nullopt) << "nothing is delivered that is not synced";
  EXPECT_FALSE(client.has_ended());
  EXPECT_THAT(ReplayAll(), ElementsAre("0", "1"));

  bridge_->Restart(SIGTERM);
  EXPECT_TRUE(Publish("2").ok());
  EXPECT_TRUE(Publish("3").ok());
  EXPECT_THAT(ReplayAll(), ElementsAre("0", "1", "2", "3"));
  SseClient resumed(bridge_->http_port(), "/events?topic=a", id);
  resumed.ReadOpen();
  EXPECT_THAT(resumed.NextData(2), ElementsAre("2", "3"));
}

INSTANTIATE_TEST_SUITE_P(, DiskFailuresOf, ::testing::Values(" fdatasync ", " pwrite pwritev "),
                         [](const auto& test) { return absl::StrContains(test.param, "sync") ? "Sync" : "Write"; });

TEST_F(DiskFailures, OfWhatIsSyncedLaterLoseNothingThatWasAcked) {
  Start("interval");
  Break(" fdatasync ");
  std::vector<std::string> acked;
  grpc::Status refused;
  EXPECT_TRUE(Eventually(
      [&] {
        const std::string text = absl::StrCat(acked.size());
        refused = Publish(text);
        if (refused.ok()) {
          acked.push_back(text);
        }
        return !refused.ok();
      },
      absl::Seconds(30)));
  EXPECT_THAT(refused.error_message(), HasSubstr("nothing more is written until a restart"));
  EXPECT_FALSE(acked.empty()) << "the journal had it";
  Mend();
  EXPECT_EQ(Publish("refused").error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ReplayAll(), acked);
  bridge_->Restart(SIGKILL);
  EXPECT_EQ(ReplayAll(), acked);
  EXPECT_TRUE(Publish("again").ok());
}

TEST_F(DiskFailures, OfAJournalAreOverWhenItCanBeWrittenAgain) {
  Start("interval");
  ASSERT_TRUE(Publish("0").ok());
  ASSERT_TRUE(bridge_->WaitForMetric("sse_bridge_log_store_events", 1)) << "so that only the journal is written";
  Break(" pwritev ");
  EXPECT_EQ(Publish("1").error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Publish("2").error_code(), grpc::StatusCode::UNAVAILABLE);
  Mend();
  EXPECT_TRUE(Eventually([this] { return Publish("1").ok(); }));
  bridge_->Restart(SIGKILL);
  EXPECT_THAT(ReplayAll(), ElementsAre("0", "1"));
}

// The calls that an ack waits for where the log is synced later.
class DiskHangs : public DiskFailures, public ::testing::WithParamInterface<std::string> {};

TEST_P(DiskHangs, HoldUpPublishersAndNoEventLoop) {
  Start("interval");
  SseClient client(bridge_->http_port(), "/events?topic=a");
  client.ReadOpen();
  Break(absl::StrCat(" ", GetParam(), ":hangs "));
  std::future<grpc::Status> published = std::async(std::launch::async, [this] { return Publish("0"); });
  // So long that each loop has asked the log how it is, and what it holds, more than once.
  for (const absl::Time end = absl::Now() + absl::Seconds(3); absl::Now() < end;) {
    EXPECT_EQ(Fetch(bridge_->http_port(), "GET", "/events").status, 400) << "by an event loop: it names no topic";
    EXPECT_EQ(bridge_->Metric("sse_bridge_log_up"), 1) << "by the control loop";
    EXPECT_EQ(client.NextOwn(absl::Milliseconds(100)), std::nullopt) << "nothing is delivered that is not acked";
  }
  EXPECT_EQ(published.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  Mend();
  EXPECT_TRUE(published.get().ok());
  EXPECT_THAT(client.NextData(1), ElementsAre("0"));
}

INSTANTIATE_TEST_SUITE_P(, DiskHangs, ::testing::Values("fallocate", "pwritev"),
                         [](const auto& test) { return test.param == "pwritev" ? "Write" : "Reserve"; });

// A block of the disk that has gone bad has neighbours.
TEST(DiskDamage, IsAGapToAStreamThatComesBackInTheMiddleOfIt) {
  constexpr int kEvents = 400;
  constexpr int kFirstDamaged = 300;
  constexpr int kLastDamaged = 310;
  const auto data_of = [](int event) { return absl::StrCat("<event ", event, ">"); };
  const TempDir directory;
  BridgeProcess bridge({absl::StrCat("log.disk.path=", directory.path(), "/log"), "log.history.max_events=10"});
  std::vector<std::string> ids;
  {
    Publisher publisher(bridge.grpc_target());
    for (int i = 0; i < kEvents; ++i) {
      ids.push_back(publisher.Publish(TextEvent("a", data_of(i))).first_id());
    }
  }
  bridge.Stop(SIGTERM);
  const std::string path = directory.path() + "/log/data.mdb";
  std::string content = ReadFile(path);
  for (int i = kFirstDamaged; i <= kLastDamaged; ++i) {
    for (size_t at = 0; (at = content.find(data_of(i), at)) != std::string::npos; ++at) {
      content[at] = '(';
    }
  }
  ReplaceFile(path, content);
  bridge.Start();

  SseClient client(bridge.http_port(), "/events?topic=a", ids[kFirstDamaged + 3]);
  client.ReadOpen();
  const std::optional<SseEvent> gap = client.Next();
  ASSERT_TRUE(gap);
  EXPECT_EQ(gap->type, "bridge.gap");
  EXPECT_EQ(gap->id, ids[kLastDamaged]);
  for (int i = kLastDamaged + 1; i < kEvents; ++i) {
    const std::optional<SseEvent> event = client.Next();
    ASSERT_TRUE(event);
    EXPECT_EQ(event->data, data_of(i));
  }
}

}  // namespace
}  // namespace bridge::test
