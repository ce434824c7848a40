#include "tests/chaos/world.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "tests/support/raw_http.h"
#include "tests/support/steady_port.h"

namespace bridge::chaos {
namespace {

constexpr absl::Duration kLinkDelay = absl::Milliseconds(80);
constexpr size_t kTailLines = 40;
constexpr absl::Duration kRecoveryPatience = absl::Seconds(5);
constexpr absl::Duration kStartPatience = absl::Seconds(60);

std::string Tail(const std::string& name, const std::string& log) {
  std::vector<std::string> lines = absl::StrSplit(log, '\n');
  if (lines.size() > kTailLines) {
    lines.erase(lines.begin(), lines.end() - kTailLines);
  }
  return absl::StrCat("--- ", name, "\n", absl::StrJoin(lines, "\n"), "\n");
}

}  // namespace

absl::StatusOr<LogKind> ParseLogKind(absl::string_view text) {
  if (text == "memory") {
    return LogKind::kMemory;
  }
  if (text == "disk") {
    return LogKind::kDisk;
  }
  if (text == "nats") {
    return LogKind::kNats;
  }
  if (text == "cluster") {
    return LogKind::kCluster;
  }
  return absl::InvalidArgumentError(absl::StrCat("log \"", text, "\": must be memory, disk, nats or cluster"));
}

World::World(LogKind log, std::vector<std::string> settings) : log_(log), settings_(std::move(settings)) {
  const bool is_jetstream = log == LogKind::kNats || log == LogKind::kCluster;
  if (is_jetstream) {
    nats_.emplace(directory_.path(), log == LogKind::kCluster ? 3 : 1);
  }
  for (size_t i = 0; i < (is_jetstream ? size_t{2} : size_t{1}); ++i) {
    links_.emplace_back();
    for (size_t server = 0; nats_ && server < nats_->size(); ++server) {
      links_.back().push_back(std::make_unique<test::FaultProxy>(nats_->port(server)));
    }
    bridges_.push_back(std::make_unique<test::BridgeProcess>(SettingsOf(i, log)));
    // One after the other: the first one makes the stream.
    if (!test::Eventually([&] { return IsReady(i); }, kStartPatience)) {
      std::fprintf(stderr, "bridge %zu does not become ready:\n%s\n", i, bridges_[i]->Log().c_str());
      std::abort();
    }
  }
  is_killed_.resize(bridges_.size());
  front_.emplace(directory_.path(), http_ports());
}

std::vector<std::string> World::SettingsOf(size_t bridge, LogKind log) {
  // Fixed ports: those that the kernel gives out may be taken when the bridge starts again.
  std::vector<std::string> settings = {absl::StrCat("http.address=127.0.0.1:", test::SteadyPort()),
                                       absl::StrCat("grpc.address=127.0.0.1:", test::SteadyPort()),
                                       absl::StrCat("admin.address=127.0.0.1:", test::SteadyPort()),
                                       "http.heartbeat=1s",
                                       "http.retry=200ms",
                                       "drain.delay=200ms",
                                       "drain.window=500ms"};
  settings.insert(settings.end(), settings_.begin(), settings_.end());
  if (log == LogKind::kMemory) {
    settings.emplace_back("log.history.max_events=10000000");
    return settings;
  }
  // A small ring, so that many a resume has to read the store.
  settings.emplace_back("log.history.max_events=2000");
  if (log == LogKind::kDisk) {
    settings.insert(settings.end(),
                    {absl::StrCat("log.disk.path=", directory_.path(), "/disk"), "log.disk.sync=each_batch"});
    return settings;
  }
  std::vector<std::string> urls;
  for (const auto& link : links_[bridge]) {
    urls.push_back(absl::StrCat("nats://127.0.0.1:", link->port()));
  }
  settings.insert(settings.end(), {absl::StrCat("log.jetstream.url=", absl::StrJoin(urls, ",")),
                                   absl::StrCat("log.jetstream.replicas=", urls.size())});
  return settings;
}

Parts World::parts() const {
  return {.bridges = bridges_.size(),
          .nats_servers = nats_ ? nats_->size() : 0,
          .survives_kills = log_ != LogKind::kMemory};
}

std::vector<uint16_t> World::http_ports() const {
  std::vector<uint16_t> ports;
  for (const auto& bridge : bridges_) {
    ports.push_back(bridge->http_port());
  }
  return ports;
}

std::vector<std::string> World::grpc_targets() const {
  std::vector<std::string> targets;
  for (const auto& bridge : bridges_) {
    targets.push_back(bridge->grpc_target());
  }
  return targets;
}

bool World::IsReady(size_t bridge) const {
  return test::Fetch(bridges_[bridge]->admin_port(), "GET", "/readyz").status == 200;
}

void World::MakeWayFor(const Fault& fault) {
  for (OpenFault& open : open_faults_) {
    if (open.fault.target == fault.target && (open.fault.index == fault.index || fault.target == Target::kNats)) {
      open.ends_at = absl::InfinitePast();
    }
  }
  EndWhatIsDue();
}

void World::Begin(const Fault& fault) {
  switch (fault.target) {
    case Target::kBridge:
      BeginOnBridge(fault);
      break;
    case Target::kNats:
      BeginOnNats(fault);
      break;
    case Target::kLink:
      BeginOnLink(fault);
      break;
    case Target::kClients:
      return;
  }
  open_faults_.push_back({.ends_at = absl::Now() + fault.lasts, .fault = fault});
}

void World::EndWhatIsDue() {
  for (size_t i = 0; i < open_faults_.size();) {
    if (open_faults_[i].ends_at > absl::Now()) {
      ++i;
      continue;
    }
    const Fault fault = open_faults_[i].fault;
    open_faults_.erase(open_faults_.begin() + static_cast<std::ptrdiff_t>(i));
    End(fault);  // which may take its time: more may be due by then
    i = 0;
  }
}

void World::BeginOnBridge(const Fault& fault) {
  test::BridgeProcess& bridge = *bridges_[fault.index];
  if (fault.action == Action::kKill) {
    bridge.Stop(SIGKILL);
    is_killed_[fault.index] = true;
  } else if (fault.action == Action::kDrain) {
    bridge.Restart(SIGTERM);
  } else {
    bridge.Signal(SIGSTOP);
  }
}

void World::BeginOnNats(const Fault& fault) {
  // What JetStream promises it promises where one server of the three fails, and the others have what it had.
  if (nats_->size() > 1) {
    test::Eventually([this] { return nats_->IsHealthy(); }, kRecoveryPatience);
  }
  if (fault.action == Action::kKill) {
    nats_->Kill(fault.index);
  } else {
    nats_->Signal(fault.index, SIGSTOP);
  }
}

void World::BeginOnLink(const Fault& fault) {
  for (const auto& link : links_[fault.index]) {
    if (fault.action == Action::kCut) {
      link->Cut();
    } else if (fault.action == Action::kRefuse) {
      link->SetTraffic(test::FaultProxy::Traffic::kRefused);
    } else if (fault.action == Action::kHold) {
      link->SetTraffic(test::FaultProxy::Traffic::kHeld);
    } else {
      link->SetDelay(kLinkDelay);
    }
  }
}

void World::End(const Fault& fault) {
  if (fault.target == Target::kLink) {
    for (const auto& link : links_[fault.index]) {
      link->SetTraffic(test::FaultProxy::Traffic::kPasses);
      link->SetDelay(absl::ZeroDuration());
    }
  } else if (fault.action == Action::kFreeze && fault.target == Target::kNats) {
    nats_->Signal(fault.index, SIGCONT);
  } else if (fault.action == Action::kFreeze) {
    bridges_[fault.index]->Signal(SIGCONT);
  } else if (fault.action == Action::kKill && fault.target == Target::kNats) {
    nats_->Start(fault.index);
  } else if (fault.action == Action::kKill) {
    bridges_[fault.index]->Start();
    is_killed_[fault.index] = false;
  }
}

std::string World::FindDead() {
  std::string dead;
  for (size_t i = 0; i < bridges_.size(); ++i) {
    if (is_killed_[i]) {
      continue;
    }
    if (const std::optional<int> code = bridges_[i]->WaitForExit(absl::ZeroDuration())) {
      is_killed_[i] = true;
      absl::StrAppend(&dead, "bridge ", i, " ended by itself with ", *code, "; ");
    }
  }
  return dead;
}

void World::Judge(std::vector<std::string>* violations) {
  if (std::string dead = FindDead(); !dead.empty()) {
    violations->push_back(std::move(dead));
  }
  if (std::string reports = SanitizerReports(); !reports.empty()) {
    violations->push_back(std::move(reports));
  }
  if (!violations->empty()) {
    violations->push_back(LogTails());
  }
}

std::string World::LogTails() const {
  std::string text;
  for (size_t i = 0; i < bridges_.size(); ++i) {
    absl::StrAppend(&text, Tail(absl::StrCat("bridge ", i), bridges_[i]->Log()));
  }
  for (size_t i = 0; nats_ && i < nats_->size(); ++i) {
    absl::StrAppend(&text, Tail(absl::StrCat("nats ", i), nats_->Log(i)));
  }
  return absl::StrCat(text, Tail("nginx", front_->Log()));
}

std::string World::SanitizerReports() const {
  std::string reports;
  for (const auto& bridge : bridges_) {
    const std::string log = bridge->Log();
    if (absl::StrContains(log, "Sanitizer") || absl::StrContains(log, "runtime error:")) {
      absl::StrAppend(&reports, log);
    }
  }
  return reports;
}

}  // namespace bridge::chaos
