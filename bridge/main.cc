#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <sys/signalfd.h>
#include <unistd.h>
#include <vector>

#include <CLI/CLI.hpp>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "bridge/config/config.h"
#include "bridge/config/validate_auth.h"
#include "bridge/config/validate_tls.h"
#include "bridge/descriptors.h"
#include "bridge/health.h"
#include "bridge/loop/event_loop.h"
#include "bridge/open_log.h"
#include "bridge/ops/logging.h"
#include "bridge/self_test_command.h"
#include "bridge/server.h"
#include "bridge/token_command.h"

namespace {

// Exit codes, also told by --help.
constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr int kExitEndedAtOnce = 128 + SIGTERM;

struct Arguments {
  bridge::config::Source source;
  bool is_check = false;
  bool is_health = false;
};

int Fail(const absl::Status& status, int code) {
  std::fprintf(stderr, "sse-bridge: %s\n", std::string(status.message()).c_str());
  return code;
}

int MakeToken(const bridge::TokenCommand& command) {
  const absl::StatusOr<std::string> token = command.Mint(absl::Now());
  if (!token.ok()) {
    return Fail(token.status(), kExitUsage);
  }
  std::puts(token->c_str());
  return 0;
}

// What the container's health check shows, and whether it is one.
int AnswerHealth(const bridge::config::Source& source) {
  if (const absl::Status healthy = bridge::CheckHealth(source); !healthy.ok()) {
    return Fail(healthy, kExitFailed);
  }
  std::puts("ready");
  return 0;
}

int RunSelfTest(const bridge::SelfTestCommand& command, const bridge::config::Source& source) {
  const absl::StatusOr<absl::Duration> way = command.Run(source);
  if (!way.ok()) {
    return Fail(way.status(), kExitFailed);
  }
  std::printf("the event came after %s\n", absl::FormatDuration(absl::Trunc(*way, absl::Microseconds(1))).c_str());
  return 0;
}

// The arguments; where there is nothing to be run, the exit code.
std::optional<int> ParseArguments(int argc, char** argv, Arguments* arguments) {
  CLI::App app("sse-bridge: backends publish events over gRPC, browsers receive them as Server-Sent Events.");
  app.set_version_flag("--version", "sse-bridge " BRIDGE_VERSION);
  std::string path;
  auto* const config =
      app.add_option("--config", path, "The configuration, a YAML file; see docs/configuration.md")->type_name("FILE");
  app.add_option("--set", arguments->source.overrides,
                 "Sets one field, over the file: --set http.heartbeat=10s. May be repeated.")
      ->type_name("PATH=VALUE")
      ->expected(1)
      ->take_all();
  app.add_flag("--check-config", arguments->is_check, "Checks the configuration and exits.");
  app.add_flag("--health", arguments->is_health,
               "Asks the bridge that runs on this machine with this configuration whether it is ready (/readyz).");
  const bridge::SelfTestCommand self_test(&app);
  const bridge::TokenCommand token(&app);
  app.footer(
      "Without a file it runs with a log in memory, without authentication, on loopback addresses.\n"
      "SIGTERM: drains (drain.delay, drain.window), then exits 0. SIGINT: the same without the delay. A second one: "
      "exits at once.\n"
      "Exit codes: 0 drained, 1 could not start (an address is taken, too few files may be open, ...), 2 wrong "
      "arguments or configuration, 143 ended at once.\n"
      "--health and --self-test: 0 it is so, 1 it is not, and one line says why.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  if (token.IsCalled()) {
    return MakeToken(token);
  }
  if (config->count() > 0) {
    arguments->source.path = path;
  }
  if (arguments->is_health) {
    return AnswerHealth(arguments->source);
  }
  if (self_test.IsCalled()) {
    return RunSelfTest(self_test, arguments->source);
  }
  return std::nullopt;
}

bridge::ops::LogOptions LogOptionsOf(const bridge::config::v1::Logging& logging) {
  using bridge::config::v1::Logging;
  bridge::ops::LogOptions options;
  switch (logging.level()) {
    case Logging::debug:
      options.level = bridge::ops::LogLevel::kDebug;
      break;
    case Logging::warn:
      options.level = bridge::ops::LogLevel::kWarn;
      break;
    case Logging::error:
      options.level = bridge::ops::LogLevel::kError;
      break;
    default:
      options.level = bridge::ops::LogLevel::kInfo;
      break;
  }
  options.format = logging.format() == Logging::json ? bridge::ops::LogFormat::kJson : bridge::ops::LogFormat::kText;
  return options;
}

// Turns SIGTERM and SIGINT into calls on the control loop.
class SignalWatcher final : public bridge::loop::Watcher {
 public:
  // REQUIRES: no other thread has been started, so that all inherit the mask.
  SignalWatcher(bridge::loop::EventLoop* loop, bridge::Server** server) : loop_(loop), server_(server) {
    loop_->AssertOnLoop();
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    fd_ = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd_ < 0 || !loop_->Watch(fd_, this).ok()) {
      std::perror("sse-bridge: signalfd");  // PrepareDescriptors has seen that there are enough
      std::abort();
    }
  }
  ~SignalWatcher() {
    loop_->AssertOnLoop();
    loop_->Unwatch(fd_, this);
    close(fd_);
  }
  SignalWatcher(const SignalWatcher&) = delete;
  SignalWatcher& operator=(const SignalWatcher&) = delete;

 private:
  void OnReady(uint32_t /*events*/) override {
    signalfd_siginfo signal{};
    while (read(fd_, &signal, sizeof(signal)) == sizeof(signal)) {
      if (is_draining_) {
        bridge::ops::LogWarn("ended_at_once");
        std::_Exit(kExitEndedAtOnce);
      }
      is_draining_ = true;
      (*server_)->Drain(signal.ssi_signo == SIGINT ? bridge::Server::DrainDelay::kNone
                                                   : bridge::Server::DrainDelay::kConfigured);
    }
  }

  bridge::loop::EventLoop* const loop_;
  bridge::Server** const server_;
  int fd_ = -1;
  bool is_draining_ = false;
};

const char* Authentication(const bridge::config::v1::Config& config) {
  const bool has_keys = bridge::config::HasKeys(config.auth());
  if (bridge::config::HasClientCa(config)) {
    return has_keys ? "tokens and certificates" : "certificates of publishers";
  }
  return has_keys ? "tokens" : "none";
}

int Run(const Arguments& arguments) {
  auto config = bridge::config::Load(arguments.source);
  if (!config.ok()) {
    return Fail(config.status(), kExitUsage);
  }
  if (arguments.is_check) {
    if (const absl::Status checked = bridge::Server::Check(*config); !checked.ok()) {
      return Fail(checked, kExitUsage);
    }
    std::puts("the configuration is valid");
    return 0;
  }
  if (const absl::Status enough = bridge::PrepareDescriptors(config->http()); !enough.ok()) {
    return Fail(enough, kExitFailed);
  }
  bridge::ops::InitLogging(LogOptionsOf(config->logging()));
  bridge::ops::LogInfo("starting", {{"version", BRIDGE_VERSION},
                                    {"log", bridge::NameOf(bridge::KindOf(config->log()))},
                                    {"authentication", Authentication(*config)}});

  bridge::loop::EventLoop control;
  bridge::Server* running = nullptr;
  const SignalWatcher signals(&control, &running);
  bridge::Server server(*std::move(config), &control);
  running = &server;
  if (const absl::Status started = server.Start(); !started.ok()) {
    return Fail(started, kExitFailed);
  }
  control.Run();
  const absl::Status outcome = server.Outcome();
  return outcome.ok() ? 0 : Fail(outcome, kExitFailed);
}

}  // namespace

// NOLINTNEXTLINE(bugprone-exception-escape): CLI11 throws where an option's name is wrong, here
int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a peer that is gone is an error of the write
  Arguments arguments;
  if (const auto exit_code = ParseArguments(argc, argv, &arguments)) {
    return *exit_code;
  }
  return Run(arguments);
}
