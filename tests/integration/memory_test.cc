#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/bridge_process.h"
#include "tests/support/stream_fleet.h"

namespace bridge::test {
namespace {

StreamFleet::Options IdleStreams(uint16_t port, size_t count) {
  return {.port = port,
          .streams = count,
          .target = [](size_t stream) { return absl::StrCat("/events?topic=idle.", stream); },
          .on_event = [](size_t, const SseEvent&) {}};
}

TEST(Memory, IdleStreamsCostLittleAndGiveItBack) {
  if (!CanMeasureMemory()) {
    GTEST_SKIP() << "a sanitizer's allocator takes more and gives nothing back";
  }
  const BridgeProcess bridge;
  constexpr size_t kFew = 1000;
  constexpr size_t kMany = 8000;
  const StreamFleet few(IdleStreams(bridge.http_port(), kFew));
  ASSERT_TRUE(Eventually([&] { return few.open_streams() == kFew; }, absl::Seconds(30)));
  const uint64_t with_few = bridge.ResidentBytes();
  {
    const StreamFleet many(IdleStreams(bridge.http_port(), kMany));
    ASSERT_TRUE(Eventually([&] { return many.open_streams() == kMany; }, absl::Seconds(30)));
    // Each has a topic of its own: an audience, too.
    EXPECT_LT((bridge.ResidentBytes() - with_few) / kMany, 1500U);
  }
  ASSERT_TRUE(bridge.WaitForMetric("sse_bridge_event_streams", kFew));
  EXPECT_TRUE(Eventually([&] { return bridge.ResidentBytes() < with_few + (uint64_t{4} << 20); }))
      << bridge.ResidentBytes() - with_few;
}

}  // namespace
}  // namespace bridge::test
