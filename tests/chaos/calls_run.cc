#include "tests/chaos/calls_run.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "tests/chaos/call_reader.h"
#include "tests/chaos/call_worker.h"
#include "tests/chaos/calls_ledger.h"

namespace bridge::chaos {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(20);
constexpr absl::Duration kReportInterval = absl::Seconds(10);
// Until everything is well again after the last fault, and all answers have been read.
constexpr absl::Duration kHealPatience = absl::Seconds(180);

constexpr absl::Duration kGrace = absl::Seconds(10);
// A reader that has left looks what has become of its call.
constexpr absl::Duration kLooksAfter = absl::Seconds(20);

// A cut of the clients' side: so many of the readers and workers.
constexpr uint64_t kReadersCutOneIn = 3;
constexpr uint64_t kWorkersCutOneIn = 3;
constexpr uint64_t kWorkersDieOneIn = 12;

std::vector<std::string> Settings() {
  return {absl::StrCat("calls.grace=", absl::FormatDuration(kGrace)),
          // While every worker looks for a bridge none is free; what is looked at is that none is lost.
          "calls.queue_timeout=60s"};
}

// A run while it lasts.
class CallsDirector {
 public:
  explicit CallsDirector(const CallsOptions& options);

  std::vector<std::string> Run();

 private:
  void StartWorkers();
  void StartReaders();
  void Strike(const Fault& fault);
  void CutClients();
  void Pass(absl::Time end);
  bool WaitUntilQuiet();
  bool IsQuiet() const;
  void Report();
  void Say(const std::string& what) const;

  const CallsOptions options_;
  const absl::Time began_ = absl::Now();
  std::mt19937_64 random_;
  World world_;
  const std::vector<Fault> schedule_;
  CallsLedger ledger_;
  std::vector<std::unique_ptr<CallWorker>> workers_;
  std::vector<std::unique_ptr<CallReader>> readers_;
  size_t struck_ = 0;
  absl::Time report_at_ = began_ + kReportInterval;
};

CallsDirector::CallsDirector(const CallsOptions& options)
    : options_(options),
      random_(options.seed),
      world_(options.log, Settings()),
      schedule_(MakeSchedule(options.seed, world_.parts(), options.faults, options.only)),
      ledger_({.readers = options.calls, .grace = kGrace}) {}

std::vector<std::string> CallsDirector::Run() {
  StartWorkers();
  StartReaders();
  for (const Fault& fault : schedule_) {
    Pass(absl::Now() + fault.pause);
    if (const std::string dead = world_.FindDead(); !dead.empty()) {
      return {dead, world_.LogTails()};
    }
    Strike(fault);
  }
  while (!world_.IsWhole()) {
    Pass(absl::Now() + kTick);
  }
  const bool is_quiet = WaitUntilQuiet();
  Report();
  readers_.clear();
  std::vector<std::string> violations = ledger_.Check(absl::Now());
  size_t held = 0;
  for (const auto& worker : workers_) {
    held += worker->held();
  }
  workers_.clear();
  if (!is_quiet) {
    violations.push_back(absl::StrCat("not everything came in time; workers work on ", held, " calls"));
  }
  world_.Judge(&violations);
  return violations;
}

void CallsDirector::StartWorkers() {
  for (size_t i = 0; i < options_.workers; ++i) {
    workers_.push_back(std::make_unique<CallWorker>(
        CallWorker::Options{.index = i, .targets = world_.grpc_targets(), .tokens = options_.tokens, .seed = random_()},
        &ledger_));
  }
}

void CallsDirector::StartReaders() {
  const absl::Duration length = LengthOf(schedule_);
  for (size_t i = 0; i < options_.calls; ++i) {
    const auto kind = CallReader::KindOf(random_());
    readers_.push_back(std::make_unique<CallReader>(
        CallReader::Options{.index = i,
                            .ports = world_.http_ports(),
                            .kind = kind,
                            .starts_after = length * (static_cast<double>(random_() % 1000) / 1000),
                            .tokens_before = random_() % options_.tokens,
                            .looks_after = kLooksAfter,
                            .seed = random_()},
        &ledger_));
  }
}

void CallsDirector::Strike(const Fault& fault) {
  world_.MakeWayFor(fault);
  Say(TextOf(fault));
  ++struck_;
  const absl::Time begin = absl::Now();
  if (fault.target == Target::kClients) {
    CutClients();
    ledger_.NoteFault(begin, absl::ZeroDuration());
    return;
  }
  world_.Begin(fault);
  // A drain has lasted until now.
  ledger_.NoteFault(begin, absl::Now() - begin + fault.lasts);
}

void CallsDirector::CutClients() {
  for (const auto& reader : readers_) {
    if (random_() % kReadersCutOneIn == 0) {
      reader->Cut();
    }
  }
  for (const auto& worker : workers_) {
    if (random_() % kWorkersDieOneIn == 0) {
      worker->Suffer(CallWorker::Cut::kProcess);
    } else if (random_() % kWorkersCutOneIn == 0) {
      worker->Suffer(CallWorker::Cut::kStream);
    }
  }
}

void CallsDirector::Pass(absl::Time end) {
  for (absl::Time now = absl::Now(); now < end; now = absl::Now()) {
    world_.EndWhatIsDue();
    if (now >= report_at_) {
      report_at_ = now + kReportInterval;
      Report();
    }
    absl::SleepFor(std::min(kTick, end - now));
  }
}

bool CallsDirector::IsQuiet() const {
  for (size_t i = 0; i < readers_.size(); ++i) {
    if (!ledger_.HasEnd(i)) {
      return false;
    }
  }
  return std::all_of(workers_.begin(), workers_.end(), [](const auto& worker) { return worker->held() == 0; });
}

bool CallsDirector::WaitUntilQuiet() {
  Say("all is whole again");
  const absl::Time deadline = absl::Now() + kHealPatience;
  while (absl::Now() < deadline) {
    if (IsQuiet()) {
      return true;
    }
    Pass(absl::Now() + 10 * kTick);
  }
  return false;
}

void CallsDirector::Report() {
  const CallsLedger::Totals totals = ledger_.totals();
  size_t streams = 0;
  size_t held = 0;
  for (const auto& worker : workers_) {
    streams += worker->streams();
    held += worker->held();
  }
  uint64_t connects = 0;
  for (const auto& reader : readers_) {
    connects += reader->connects();
  }
  Say(absl::StrFormat(
      "%d of %d faults; %d calls of %d asked, %d attempts, %d ended (%s), %d held; %d tokens received; %d "
      "requests of readers, %d streams of workers",
      struck_, schedule_.size(), totals.opened, options_.calls, totals.attempts, totals.ended,
      absl::StrJoin(totals.statuses, ", ", absl::PairFormatter(" ")), held, totals.received, connects, streams));
}

void CallsDirector::Say(const std::string& what) const {
  std::printf("%8.3f %s\n", absl::ToDoubleSeconds(absl::Now() - began_), what.c_str());
  std::fflush(stdout);
}

}  // namespace

std::vector<std::string> RunCalls(const CallsOptions& options) { return CallsDirector(options).Run(); }

}  // namespace bridge::chaos
