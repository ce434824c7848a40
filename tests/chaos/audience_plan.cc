#include "tests/chaos/audience_plan.h"

#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace bridge::chaos {
namespace {

constexpr size_t kGroups = 4;
constexpr size_t kTopicsOfGroup = 4;

}  // namespace

std::vector<std::string> Topics() {
  std::vector<std::string> topics;
  for (size_t i = 0; i < kGroups * kTopicsOfGroup; ++i) {
    topics.push_back(absl::StrCat("chaos.", i / kTopicsOfGroup, ".", i % kTopicsOfGroup));
  }
  return topics;
}

std::string StreamPlan::target() const {
  return absl::StrCat("/events?topic=", absl::StrJoin(patterns, "&topic="), replays_all ? "&replay=all" : "");
}

std::vector<StreamPlan> PlanStreams(uint64_t seed, size_t count, absl::Duration latest) {
  std::mt19937_64 random(seed);
  const std::vector<std::string> topics = Topics();
  std::vector<StreamPlan> plans(count);
  for (size_t i = 0; i < count; ++i) {
    const auto any_topic = [&] { return topics[random() % topics.size()]; };
    StreamPlan& plan = plans[i];
    switch (i % 10) {
      case 0:  // one of them at least sees everything
        plan.patterns = {"chaos.>"};
        break;
      case 1:
      case 2:
        plan.patterns = {any_topic(), any_topic()};
        break;
      case 3:
      case 4:
        plan.patterns = {absl::StrCat("chaos.*.", random() % kTopicsOfGroup)};
        break;
      case 5:
      case 6:
        plan.patterns = {absl::StrCat("chaos.", random() % kGroups, ".>")};
        break;
      default:
        plan.patterns = {any_topic()};
    }
    plan.is_behind_front = random() % 2 == 0;
    if (i > 0 && random() % 5 == 0) {
      plan.replays_all = true;
      plan.starts_after = latest * (static_cast<double>(random() % 1000) / 1000);
    }
  }
  return plans;
}

}  // namespace bridge::chaos
