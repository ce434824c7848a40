#include "tests/bench/publish_plan.h"

#include <algorithm>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>

#include "tests/bench/clock.h"
#include "tests/bench/payload.h"

namespace bridge::bench {
namespace {

constexpr double kNsPerSecond = 1e9;
constexpr int64_t kLongestWaitNs = 100'000'000;
// How often a receiver's progress is looked at while it is too far behind.
constexpr int64_t kProgressWaitNs = 100'000;

}  // namespace

PublishPlan::PublishPlan(PublishOptions options) : options_(std::move(options)) {
  for (size_t i = 0; i < options_.topics; ++i) {
    topics_.push_back(absl::StrReplaceAll(options_.topic, {{"{}", absl::StrCat(i)}}));
  }
  if (!options_.progress_file.empty()) progress_ = std::make_unique<Progress>(options_.progress_file);
}

void PublishPlan::Start() { start_ns_ = NowNs(); }

double PublishPlan::ElapsedSeconds() const { return static_cast<double>(NowNs() - start_ns_) / kNsPerSecond; }

bool PublishPlan::is_over() const {
  return (options_.events != 0 && taken_ >= options_.events) || ElapsedSeconds() >= options_.seconds;
}

int64_t PublishPlan::DueNs() const {
  return start_ns_ + static_cast<int64_t>(static_cast<double>(taken_) / options_.events_per_second * kNsPerSecond);
}

bool PublishPlan::MayPublish() const {
  if (is_over()) return false;
  if (options_.events_per_second > 0 && NowNs() < DueNs()) return false;
  return progress_ == nullptr || taken_ / options_.topics < progress_->Get() + options_.lag_events_max;
}

int64_t PublishPlan::WaitNs() const {
  if (progress_ != nullptr) return kProgressWaitNs;
  if (options_.events_per_second <= 0 || is_over()) return kLongestWaitNs;
  return std::clamp<int64_t>(DueNs() - NowNs(), 0, kLongestWaitNs);
}

uint64_t PublishPlan::NextBatch() const {
  return options_.events == 0 ? options_.batch : std::min(options_.batch, options_.events - taken_);
}

size_t PublishPlan::TakeEvent(std::string& payload) {
  const size_t topic = taken_ % options_.topics;
  WriteStamp({.sequence = taken_ / options_.topics + 1, .sent_ns = NowNs()}, payload);
  ++taken_;
  return topic;
}

}  // namespace bridge::bench
