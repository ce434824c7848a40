#include "tests/support/bystander.h"

#include <algorithm>
#include <optional>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/publisher.h"
#include "tests/support/sse_client.h"

namespace bridge::test {
namespace {

constexpr absl::Duration kInterval = absl::Milliseconds(5);
// So many are needed to say something about latency.
constexpr size_t kEventsMin = 15;
constexpr absl::Duration kPatience = absl::Seconds(30);

// A machine with two cores that other tests and the attackers themselves share: what is meant is "not blocked". A
// sanitizer makes the bridge slower, and its neighbours.
absl::Duration Generous(absl::Duration bound) { return CanMeasureMemory() ? bound : 4 * bound; }
const absl::Duration kUsual = absl::Milliseconds(200);
const absl::Duration kSoon = absl::Seconds(1);
const absl::Duration kVeryLate = absl::Seconds(2);

// What an allocator may keep, and the bystander's own events in history.
constexpr uint64_t kResidentBytesKept = uint64_t{16} << 20;

}  // namespace

Bystander::Bystander(const BridgeProcess* bridge) : bridge_(bridge), thread_([this] { Run(); }) {
  bridge_->Metric("sse_bridge_event_streams");  // what a first look takes is nobody's doing
  const auto is_settled = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return latencies_.size() >= kEventsMin || !failure_.empty();
  };
  {
    const absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&is_settled));
    latencies_.clear();
  }
  before_ = {.open_files = bridge_->OpenFiles(), .resident_bytes = bridge_->ResidentBytes()};
}

Bystander::~Bystander() {
  {
    const absl::MutexLock lock(&mutex_);
    is_ending_ = true;
  }
  if (thread_.joinable()) {
    thread_.join();
  }
}

void Bystander::Run() {
  Publisher publisher(bridge_->grpc_target(), Publisher::Channel::kOwn);
  SseClient stream(bridge_->http_port(), absl::StrCat("/events?topic=", kTopic));
  stream.ReadOpen();
  // A machine that is short of time makes them fewer, and does not make each of them later than the one before.
  for (uint64_t number = 0;; ++number) {
    absl::SleepFor(kInterval);
    const absl::Time start = absl::Now();
    const std::string text = absl::StrCat(number);
    v1::PublishRequest request;
    *request.add_events() = TextEvent(kTopic, text);
    v1::Ack ack;
    const grpc::Status published = publisher.TryPublish(request, &ack);
    const auto event = published.ok() ? stream.NextOwn(kPatience) : std::nullopt;
    const absl::Duration latency = absl::Now() - start;

    const uint64_t resident_bytes = bridge_->ResidentBytes();
    const absl::MutexLock lock(&mutex_);
    resident_bytes_max_ = std::max(resident_bytes_max_, resident_bytes);
    latencies_.push_back(latency);
    if (!event || event->type != "message" || event->data != text) {
      failure_ = absl::StrCat("event ", number, ": ", published.error_message(),
                              " came: ", event ? absl::StrCat(event->type, " ", event->data) : "nothing");
      return;
    }
    if (is_ending_ && latencies_.size() >= kEventsMin) {
      return;
    }
  }
}

uint64_t Bystander::PeakGrowthBytes() const {
  const absl::MutexLock lock(&mutex_);
  return resident_bytes_max_ - std::min(resident_bytes_max_, before_.resident_bytes);
}

void Bystander::ExpectUnharmed() {
  ExpectGivenBack();
  {
    const absl::MutexLock lock(&mutex_);
    is_ending_ = true;
  }
  thread_.join();
  ExpectSoon();
}

void Bystander::ExpectSoon() const {
  const absl::MutexLock lock(&mutex_);
  EXPECT_EQ(failure_, "");
  std::vector<absl::Duration> sorted = latencies_;
  std::sort(sorted.begin(), sorted.end());
  ASSERT_FALSE(sorted.empty());
  // One of a few may be late without a meaning.
  const size_t late = 1 + sorted.size() / 100;
  EXPECT_LT(sorted[sorted.size() / 2], Generous(kUsual)) << "of " << sorted.size() << " events";
  EXPECT_LT(sorted[sorted.size() - 1 - late], Generous(kSoon)) << "of " << sorted.size() << " events";
  EXPECT_LT(sorted.back(), Generous(kVeryLate)) << "of " << sorted.size() << " events";
}

void Bystander::ExpectGivenBack() const {
  const auto is_given_back = [this](const char* name, double own) {
    EXPECT_TRUE(bridge_->WaitForMetric(absl::StrCat("sse_bridge_", name), own, kPatience))
        << name << " is " << bridge_->Metric(absl::StrCat("sse_bridge_", name));
  };
  is_given_back("event_streams", 1);
  is_given_back("http_connections", 0);
  is_given_back("http_unsent_bytes", 0);
  is_given_back("http_request_bytes", 0);
  is_given_back("pinned_bytes", 0);
  EXPECT_TRUE(Eventually([this] { return bridge_->OpenFiles() <= before_.open_files; }, kPatience))
      << bridge_->OpenFiles() << " files are open, before " << before_.open_files;
  if (CanMeasureMemory()) {  // a sanitizer's allocator gives nothing back
    const uint64_t bound = before_.resident_bytes + kResidentBytesKept;
    EXPECT_TRUE(Eventually([&] { return bridge_->ResidentBytes() <= bound; }))
        << "of " << PeakGrowthBytes() << " bytes "
        << static_cast<int64_t>(bridge_->ResidentBytes() - before_.resident_bytes) << " are kept";
  }
}

}  // namespace bridge::test
