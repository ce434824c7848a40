#include <atomic>
#include <csignal>
#include <deque>
#include <thread>

#include <gtest/gtest.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/bridge_process.h"
#include "tests/support/publisher.h"
#include "tests/support/random_seed.h"
#include "tests/support/stream_fleet.h"

namespace bridge::test {
namespace {

// Publishes numbered events with keys on a stream, reconnects where that ends, and sends again in order what has not
// been acked.
class SteadyPublisher {
 public:
  static constexpr uint64_t kBatchesInFlight = 20;

  // `event_of` makes the event of a number, without its key.
  SteadyPublisher(std::string target, std::function<v1::Event(uint64_t)> event_of)
      : target_(std::move(target)), event_of_(std::move(event_of)) {}

  // Publishes the numbers below `count`, in batches, and returns when all have been acked.
  void PublishUpTo(uint64_t count, uint64_t batch, absl::Duration pause = absl::ZeroDuration()) {
    while (acked_ < count && !is_ending_) {
      Publisher publisher(target_, Publisher::Channel::kOwn);
      PublishCall call(&publisher);
      uint64_t sent = acked_;
      while (acked_ < count && !is_ending_) {
        if (sent < count && sent - acked_ < kBatchesInFlight * batch) {
          const uint64_t end = std::min(sent + batch, count);
          if (!call.Send(absl::StrCat(end), Batch(sent, end))) {
            break;
          }
          sent = end;
          absl::SleepFor(pause);  // the rate at which it publishes
          continue;
        }
        const auto ack = call.NextAck();
        if (!ack || ack->rejected_size() > 0) {
          break;
        }
        uint64_t acked = 0;
        ASSERT_TRUE(absl::SimpleAtoi(ack->request_id(), &acked));
        acked_ = acked;
      }
      call.Cancel();
      call.Finish();
      absl::SleepFor(absl::Milliseconds(20));  // a publisher's backoff
    }
  }

  void End() { is_ending_ = true; }
  uint64_t acked() const { return acked_; }

 private:
  std::vector<v1::Event> Batch(uint64_t begin, uint64_t end) {
    std::vector<v1::Event> events;
    for (uint64_t number = begin; number < end; ++number) {
      events.push_back(event_of_(number));
      events.back().set_idempotency_key(absl::StrCat(number));
    }
    return events;
  }

  const std::string target_;
  const std::function<v1::Event(uint64_t)> event_of_;
  std::atomic<uint64_t> acked_{0};
  std::atomic<bool> is_ending_{false};
};

// What one stream has seen of a series of consecutive numbers.
struct Series {
  uint64_t next = 0;
  bool was_gap_told = false;
  std::string last_id;
};

uint64_t NumberOf(const SseEvent& event) {
  uint64_t number = UINT64_MAX;
  EXPECT_TRUE(absl::SimpleAtoi(event.data, &number)) << event.data;
  return number;
}

TEST(Fleet, StreamsThatAreCutAtRandomGetExactlyWhatWasPublished) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(absl::StrCat("BRIDGE_TEST_SEED=", seed));
  constexpr size_t kStreams = 200;
  constexpr uint64_t kEvents = 100'000;
  const BridgeProcess bridge({"log.history.max_events=200000"});
  std::vector<Series> series(kStreams);
  std::atomic<uint64_t> received{0};
  const auto on_event = [&](size_t stream, const SseEvent& event) {
    ASSERT_NE(event.type, "bridge.gap") << event.data;
    if (event.type != "message") {
      return;
    }
    ASSERT_EQ(NumberOf(event), series[stream].next) << "stream " << stream;
    ++series[stream].next;
    ++received;
  };
  StreamFleet fleet(StreamFleet::Options{
      .port = bridge.http_port(),
      .streams = kStreams,
      .target =
          [](size_t stream) { return stream % 2 == 0 ? "/events?topic=numbers" : "/events?topic=*&topic=numbers"; },
      .on_event = on_event,
      .cut_after_bytes = 300'000,
      .seed = seed});
  // A stream without an id yet would begin where it connects.
  ASSERT_TRUE(Eventually([&] { return fleet.open_streams() == kStreams; }, absl::Seconds(60))) << fleet.open_streams();
  SteadyPublisher publisher(bridge.grpc_target(),
                            [](uint64_t number) { return TextEvent("numbers", absl::StrCat(number)); });
  publisher.PublishUpTo(kEvents, 100);
  EXPECT_TRUE(Eventually([&] { return received == kStreams * kEvents; }, absl::Seconds(120)))
      << received << " of " << kStreams * kEvents;
  EXPECT_GT(fleet.cuts(), 1000U);
}

TEST(Fleet, TenThousandStreamsOverAHundredPatternsAreToldWhatARestartCost) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(absl::StrCat("BRIDGE_TEST_SEED=", seed));
  constexpr size_t kStreams = 10'000;
  constexpr size_t kPatterns = 100;
  constexpr uint64_t kBatch = 50;
  constexpr uint64_t kUnackedPerSeries = SteadyPublisher::kBatchesInFlight * kBatch / kPatterns + 1;
  BridgeProcess bridge({"http.retry=200ms", "drain.delay=0s", "drain.window=500ms"});
  std::vector<Series> series(kStreams);
  std::atomic<uint64_t> gaps{0};
  const auto on_event = [&](size_t stream, const SseEvent& event) {
    Series& mine = series[stream];
    if (event.type == "bridge.gap") {
      ++gaps;
      mine.was_gap_told = true;
    } else if (event.type == "message") {
      const uint64_t number = NumberOf(event);
      if (number != mine.next) {
        ASSERT_TRUE(mine.was_gap_told) << "stream " << stream << " was not told of a gap before " << number << " ("
                                       << event.id << ") instead of " << mine.next << " (after " << mine.last_id << ")";
        // What a killed bridge had delivered and not acked is sent again, and the new log cannot know it.
        ASSERT_GE(number + kUnackedPerSeries, mine.next) << "stream " << stream;
      }
      mine.was_gap_told = false;
      mine.next = number + 1;
      mine.last_id = event.id;
    }
  };
  StreamFleet fleet(StreamFleet::Options{
      .port = bridge.http_port(),
      .streams = kStreams,
      .target = [](size_t stream) { return absl::StrCat("/events?topic=series.", stream % kPatterns, ".*"); },
      .on_event = on_event,
      .reconnect_max = absl::Milliseconds(1000),
      .seed = seed});
  ASSERT_TRUE(Eventually([&] { return fleet.open_streams() == kStreams; }, absl::Seconds(60))) << fleet.open_streams();

  // Each series gets the numbers from 0 on.
  SteadyPublisher publisher(bridge.grpc_target(), [](uint64_t number) {
    return TextEvent(absl::StrCat("series.", number % kPatterns, ".x"), absl::StrCat(number / kPatterns));
  });
  // 50,000 deliveries per second: no more than sanitizers leave time for on a busy machine.
  std::thread publishing(
      [&] { publisher.PublishUpTo(uint64_t{kPatterns} * 100'000, kBatch, absl::Milliseconds(100)); });
  const auto wait_for_all = [&] {
    const uint64_t before = fleet.events();
    return Eventually([&] { return fleet.open_streams() == kStreams && fleet.events() > before + 5 * kStreams; },
                      absl::Seconds(60));
  };
  EXPECT_TRUE(wait_for_all());
  for (const int signal : {SIGTERM, SIGKILL}) {
    const uint64_t gaps_before = gaps;
    bridge.Restart(signal);
    // Every stream is told that this log knows nothing of its past.
    EXPECT_TRUE(Eventually([&] { return gaps >= gaps_before + kStreams * 9 / 10; }, absl::Seconds(60)))
        << gaps - gaps_before;
    EXPECT_TRUE(wait_for_all());
  }
  publisher.End();
  publishing.join();
}

}  // namespace
}  // namespace bridge::test
