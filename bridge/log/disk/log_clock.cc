#include "bridge/log/disk/log_clock.h"

#include <algorithm>
#include <ctime>
#include <fstream>
#include <utility>

namespace bridge::log::disk {
namespace {

LogClock::Time TimeNow(const LogClock::Sources& sources, const LogClock::Mark& last, LogClock::Time at_least) {
  const bool is_same_start = !last.boot_id.empty() && last.boot_id == sources.boot_id;
  const auto since = is_same_start ? sources.since_boot() - last.since_boot : LogClock::Time::zero();
  return std::max(at_least, last.time + std::max(since, LogClock::Time::zero()));
}

}  // namespace

LogClock::LogClock(Sources sources, const Mark& last, Time at_least)
    : sources_(std::move(sources)),
      ahead_(TimeNow(sources_, last, at_least) - sources_.monotonic().time_since_epoch()) {}

LogClock::Mark LogClock::MarkNow() const {
  return {.time = Now(), .since_boot = sources_.since_boot(), .boot_id = sources_.boot_id};
}

std::chrono::nanoseconds LogClock::SinceBoot() {
  timespec now = {};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

std::string LogClock::BootId() {
  std::string id;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), id);
  return id;
}

}  // namespace bridge::log::disk
