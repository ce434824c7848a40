// What a hub does at the end of its server, when its log is about to be destroyed.
#include <atomic>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "tests/support/bridge_process.h"

#include "bridge/hub/hub.h"
#include "bridge/hub/store_reader.h"
#include "bridge/log/event_log.h"
#include "bridge/loop/event_loop.h"

namespace bridge::hub {
namespace {

// A store that holds nothing, and counts how often it is asked what it holds.
class EmptyStore final : public log::EventLog {
 public:
  uint64_t failures() const override { return 0; }
  void Append(std::vector<log::Record> /*records*/, uint64_t /*failures_seen*/, AppendCallback done) override {
    done(absl::UnavailableError("it takes nothing"));
  }
  void Follow(log::Follower* /*follower*/, const Tail& /*tail*/) override {}
  void ResumeFollow() override {}
  void Read(const ReadOptions& /*options*/, ReadCallback done) override {
    done(absl::UnavailableError("it holds nothing"));
  }
  void GetBounds(BoundsCallback done) override {
    ++asked_;
    done(log::Bounds{.epoch = 1, .oldest = 1, .newest = 0});
  }
  absl::Status health() const override { return absl::OkStatus(); }
  Stats stats() const override { return {}; }

  int asked() const { return asked_; }

 private:
  std::atomic<int> asked_{0};
};

TEST(HubDrainTest, AsksItsLogNothingAfterTheEndOfAllStreams) {
  EmptyStore store;
  StoreReader reader(&store);
  loop::LoopThread loop("test");
  std::unique_ptr<Hub> hub;
  loop.BlockOn([&] { hub = std::make_unique<Hub>(&loop.loop(), &store, &reader, HubOptions(), [] {}); });
  hub->PostEpoch(1, 0);
  hub->PostCaughtUp();
  // It asks again and again.
  EXPECT_TRUE(test::Eventually([&] { return store.asked() >= 2; }));
  loop.BlockOn([&] {
    hub->loop().AssertOnLoop();
    hub->EndAll(EndReason::kDraining);
  });
  const int asked = store.asked();
  absl::SleepFor(absl::Milliseconds(2500));  // it would have asked twice
  EXPECT_EQ(store.asked(), asked);
  loop.BlockOn([&] { hub = nullptr; });
}

}  // namespace
}  // namespace bridge::hub
