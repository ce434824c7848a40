#include "tests/chaos/schedule.h"

#include <map>
#include <set>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bridge::chaos {
namespace {

constexpr Parts kCluster = {.bridges = 2, .nats_servers = 3};

std::vector<std::string> TextsOf(const std::vector<Fault>& schedule) {
  std::vector<std::string> texts;
  for (const Fault& fault : schedule) {
    texts.push_back(TextOf(fault) + " after " + absl::FormatDuration(fault.pause));
  }
  return texts;
}

TEST(Schedule, IsTheSameForTheSameSeed) {
  EXPECT_EQ(TextsOf(MakeSchedule(1, kCluster, 100)), TextsOf(MakeSchedule(1, kCluster, 100)));
  EXPECT_NE(TextsOf(MakeSchedule(1, kCluster, 100)), TextsOf(MakeSchedule(2, kCluster, 100)));
}

TEST(Schedule, HasEveryFaultForEveryPartButFrozenServersOfACluster) {
  std::set<std::pair<Target, Action>> kinds;
  std::set<std::pair<Target, size_t>> parts;
  for (const Fault& fault : MakeSchedule(3, kCluster, 1000)) {
    kinds.insert({fault.target, fault.action});
    parts.insert({fault.target, fault.index});
  }
  EXPECT_EQ(kinds.size(), 9U);
  EXPECT_EQ(parts.size(), 2U + 3U + 2U + 1U);
}

TEST(Schedule, NothingFailsThatIsFailingAlreadyAndOneNatsServerAtATime) {
  std::map<std::pair<Target, size_t>, absl::Duration> ends;
  absl::Duration now;
  for (const Fault& fault : MakeSchedule(4, kCluster, 1000)) {
    now += fault.pause;
    absl::Duration& end = ends[{fault.target, fault.target == Target::kNats ? 0 : fault.index}];
    EXPECT_GE(now, end) << TextOf(fault);
    end = now + fault.lasts;
  }
}

TEST(Schedule, ALogThatDiesWithItsBridgeIsNotKilled) {
  for (const Fault& fault : MakeSchedule(5, {.bridges = 1, .survives_kills = false}, 200)) {
    EXPECT_NE(fault.action, Action::kKill);
    EXPECT_NE(fault.action, Action::kDrain);
    EXPECT_NE(fault.target, Target::kNats);
  }
}

}  // namespace
}  // namespace bridge::chaos
