#include "tests/chaos/run.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <random>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "tests/chaos/audience_plan.h"
#include "tests/chaos/backend.h"
#include "tests/chaos/ledger.h"
#include "tests/support/stream_fleet.h"

namespace bridge::chaos {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(10);
constexpr absl::Duration kReportInterval = absl::Seconds(10);

// How long it may take until the streams are open, and until everything is well again after the last fault.
constexpr absl::Duration kStartPatience = absl::Seconds(60);
constexpr absl::Duration kHealPatience = absl::Seconds(120);
// Nothing may come any more once everybody has everything: waited for so long.
constexpr absl::Duration kSilence = absl::Seconds(1);

// A cut of the clients' side: so many of the streams, and of the backends, half of which lose an answer by it.
constexpr double kStreamsCut = 0.3;
constexpr uint64_t kBackendsCutOneIn = 2;
constexpr uint64_t kBackendsDieOneIn = 6;

// Just before a fault much is published at once, so that it strikes in the middle.
constexpr int64_t kBurstLeadMaxMs = 30;

std::vector<std::vector<std::string>> PatternsOf(const std::vector<StreamPlan>& plans) {
  std::vector<std::vector<std::string>> patterns;
  for (const StreamPlan& plan : plans) {
    patterns.push_back(plan.patterns);
  }
  return patterns;
}

// A run while it lasts.
class Director {
 public:
  explicit Director(const RunOptions& options);

  std::vector<std::string> Run();

 private:
  void StartBackends();
  void Strike(const Fault& fault);
  void CutClients();
  // Lets time pass until `end`: ends what is due, lets so many events be published evenly, reports.
  void Pass(absl::Time end, size_t events);
  void Publish(size_t events);
  bool WaitUntilQuiet();
  void Report();
  void Say(const std::string& what);
  bool AreBackendsDone() const;

  const RunOptions options_;
  const absl::Time began_ = absl::Now();
  std::mt19937_64 random_;
  World world_;
  const std::vector<Fault> schedule_;
  const std::vector<StreamPlan> plans_;
  Ledger ledger_;
  std::vector<size_t> connects_;  // by stream
  std::unique_ptr<test::StreamFleet> fleet_;
  std::vector<std::unique_ptr<Backend>> backends_;
  size_t struck_ = 0;
  absl::Time report_at_ = began_ + kReportInterval;
};

Director::Director(const RunOptions& options)
    : options_(options),
      random_(options.seed),
      world_(options.log),
      schedule_(MakeSchedule(options.seed, world_.parts(), options.faults, options.only)),
      plans_(PlanStreams(options.seed, options.streams, LengthOf(schedule_))),
      ledger_(Topics(), PatternsOf(plans_)),
      connects_(plans_.size()) {}

std::vector<std::string> Director::Run() {
  const std::vector<uint16_t> direct_ports = world_.http_ports();
  const auto port_of = [this, direct_ports](size_t stream) {
    const size_t turn = stream + connects_[stream]++;
    return plans_[stream].is_behind_front ? world_.front_port() : direct_ports[turn % direct_ports.size()];
  };
  fleet_ = std::make_unique<test::StreamFleet>(test::StreamFleet::Options{
      .port_of = port_of,
      .streams = plans_.size(),
      .starts_after = [this](size_t stream) { return plans_[stream].starts_after; },
      .target = [this](size_t stream) { return plans_[stream].target(); },
      .on_event = [this](size_t stream, const test::SseEvent& event) { ledger_.NoteReceived(stream, event); },
      .reconnect_max = absl::Milliseconds(50),
      .reconnect_backoff_max = absl::Seconds(1),
      .seed = options_.seed});
  const auto early = static_cast<size_t>(
      std::count_if(plans_.begin(), plans_.end(), [](const StreamPlan& plan) { return !plan.replays_all; }));
  if (!test::Eventually([&] { return fleet_->open_streams() >= early; }, kStartPatience)) {
    return {absl::StrCat("only ", fleet_->open_streams(), " streams have opened\n", world_.LogTails())};
  }
  StartBackends();

  size_t left = options_.events;
  for (const Fault& fault : schedule_) {
    if (const std::string dead = world_.FindDead(); !dead.empty()) {
      return {dead, world_.LogTails()};
    }
    const size_t share = left / (schedule_.size() - struck_);
    left -= share;
    Pass(absl::Now() + fault.pause, share / 2);
    Publish(share - share / 2);
    absl::SleepFor(absl::Milliseconds(static_cast<int64_t>(random_() % kBurstLeadMaxMs)));
    Strike(fault);
  }
  while (!world_.IsWhole()) {
    Pass(absl::Now() + kTick, 0);
  }
  const bool is_quiet = WaitUntilQuiet();
  Report();
  backends_.clear();
  fleet_ = nullptr;
  std::vector<std::string> violations = ledger_.Check();
  if (!is_quiet) {
    violations.emplace_back("not everything came in time");
  }
  world_.Judge(&violations);
  return violations;
}

void Director::StartBackends() {
  for (size_t i = 0; i < options_.backends; ++i) {
    backends_.push_back(std::make_unique<Backend>(Backend::Options{.index = i,
                                                                   .publishers = options_.backends,
                                                                   .targets = world_.grpc_targets(),
                                                                   .topics = Topics(),
                                                                   .seed = random_(),
                                                                   .has_keys = options_.has_keys},
                                                  &ledger_));
  }
}

void Director::Strike(const Fault& fault) {
  world_.MakeWayFor(fault);
  Say(TextOf(fault));
  ++struck_;
  if (fault.target == Target::kClients) {
    CutClients();
    return;
  }
  world_.Begin(fault);
}

void Director::CutClients() {
  fleet_->Cut(kStreamsCut);
  for (const auto& backend : backends_) {
    if (random_() % kBackendsDieOneIn == 0) {
      backend->Suffer(Backend::Cut::kProcess);
    } else if (random_() % kBackendsCutOneIn == 0) {
      backend->Suffer(random_() % 2 == 0 ? Backend::Cut::kStream : Backend::Cut::kAnswer);
    }
  }
}

void Director::Pass(absl::Time end, size_t events) {
  const absl::Time begin = absl::Now();
  size_t published = 0;
  for (absl::Time now = begin; now < end; now = absl::Now()) {
    world_.EndWhatIsDue();
    const auto due = static_cast<size_t>(static_cast<double>(events) * absl::FDivDuration(now - begin, end - begin));
    Publish(due - published);
    published = due;
    if (now >= report_at_) {
      report_at_ = now + kReportInterval;
      Report();
    }
    absl::SleepFor(std::min(kTick, end - now));
  }
  Publish(events - published);
}

void Director::Publish(size_t events) {
  while (events > 0) {
    const size_t some = std::min(events, 1 + options_.events / 1'000);
    backends_[random_() % backends_.size()]->Allow(some);
    events -= some;
  }
}

bool Director::WaitUntilQuiet() {
  Say("all is whole again");
  const absl::Time deadline = absl::Now() + kHealPatience;
  absl::Time quiet_since = absl::InfiniteFuture();
  size_t received = 0;
  while (absl::Now() < deadline) {
    const size_t received_now = ledger_.totals().received;
    if (!AreBackendsDone() || !ledger_.IsCaughtUp() || received_now != received) {
      quiet_since = absl::Now();
    }
    received = received_now;
    if (absl::Now() - quiet_since > kSilence) {
      return true;
    }
    Pass(absl::Now() + 10 * kTick, 0);
  }
  return false;
}

bool Director::AreBackendsDone() const {
  return std::all_of(backends_.begin(), backends_.end(), [](const auto& backend) { return backend->IsDone(); });
}

void Director::Report() {
  const Ledger::Totals totals = ledger_.totals();
  size_t streams = 0;
  for (const auto& backend : backends_) {
    streams += backend->streams();
  }
  Say(absl::StrFormat(
      "%d of %d faults; %d of %d events published, %d acked, %d kept without an ack; %d received by %d "
      "streams, %d of them open; %d connects, %d Publish streams",
      struck_, schedule_.size(), totals.published, options_.events, totals.acked, totals.never_acked_but_kept,
      totals.received, plans_.size(), fleet_->open_streams(), fleet_->connects(), streams));
}

void Director::Say(const std::string& what) {
  std::printf("%8.3f %s\n", absl::ToDoubleSeconds(absl::Now() - began_), what.c_str());
  std::fflush(stdout);
}

}  // namespace

std::vector<std::string> Run(const RunOptions& options) { return Director(options).Run(); }

}  // namespace bridge::chaos
