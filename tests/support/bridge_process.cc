#include "tests/support/bridge_process.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "tests/support/files.h"
#include "tests/support/raw_http.h"

namespace bridge::test {
namespace {

std::string BinaryPath() {
  const char* const path = std::getenv("BRIDGE_BIN");
  if (path == nullptr) {
    std::fprintf(stderr, "BRIDGE_BIN is not set: run this test by ctest\n");
    std::abort();
  }
  return path;
}

std::string TemporaryFile() {
  std::string path =
      absl::StrCat(std::getenv("TMPDIR") != nullptr ? std::getenv("TMPDIR") : "/tmp", "/bridge-test-XXXXXX");
  const int fd = mkstemp(path.data());
  if (fd < 0) {
    std::perror("mkstemp");
    std::abort();
  }
  close(fd);
  return path;
}

// `command` begins with the path of a program.
pid_t Spawn(std::vector<std::string> command, const std::string& log_path) {
  std::vector<char*> argv;
  argv.reserve(command.size() + 1);
  for (std::string& argument : command) {
    argv.push_back(argument.data());
  }
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t pid = -1;
  const int error = posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    std::fprintf(stderr, "cannot start %s\n", argv[0]);
    std::abort();
  }
  return pid;
}

int ExitCode(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

// The port behind "key=127.0.0.1:" in the last line that says what is listened on.
uint16_t PortOf(const std::string& log, absl::string_view key) {
  const size_t line = log.rfind(" listening ");
  const std::string field = absl::StrCat(key, "=127.0.0.1:");
  const size_t at = line == std::string::npos ? line : log.find(field, line);
  return at == std::string::npos ? uint16_t{0} : static_cast<uint16_t>(std::atoi(log.c_str() + at + field.size()));
}

// Of a process or a thread, from its stat in /proc.
absl::Duration CpuTimeIn(const std::string& stat) {
  const std::vector<std::string> fields = absl::StrSplit(stat.substr(stat.rfind(')') + 2), ' ');
  constexpr size_t kUserTicks = 11;
  const double ticks = std::atof(fields[kUserTicks].c_str()) + std::atof(fields[kUserTicks + 1].c_str());
  return absl::Seconds(ticks / static_cast<double>(sysconf(_SC_CLK_TCK)));
}

RunResult RunToEnd(const std::vector<std::string>& command) {
  const std::string log_path = TemporaryFile();
  const pid_t pid = Spawn(command, log_path);
  int status = 0;
  const bool has_ended = Eventually([&] { return waitpid(pid, &status, WNOHANG) == pid; });
  if (!has_ended) {
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
  }
  RunResult result{.exit_code = ExitCode(status), .output = ReadFile(log_path)};
  std::remove(log_path.c_str());
  return result;
}

}  // namespace

BridgeProcess::BridgeProcess(std::vector<std::string> settings, Environment environment)
    : settings_(std::move(settings)), environment_(std::move(environment)) {
  Start();
}

BridgeProcess::~BridgeProcess() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    WaitForExit();
  }
  const std::string log = Log();
  EXPECT_FALSE(absl::StrContains(log, "Sanitizer") || absl::StrContains(log, "runtime error:"));
  if (testing::Test::HasFailure()) {
    std::fprintf(stderr, "the bridge's log:\n%s\n", log.c_str());
  }
  std::remove(log_path_.c_str());
}

void BridgeProcess::Start() {
  if (log_path_.empty()) {
    log_path_ = TemporaryFile();
  }
  std::vector<std::string> command;
  if (!environment_.variables.empty()) {
    command.emplace_back("/usr/bin/env");
    command.insert(command.end(), environment_.variables.begin(), environment_.variables.end());
  }
  command.push_back(BinaryPath());
  const auto listen = [&](absl::string_view section, uint16_t port) {
    command.insert(command.end(), {"--set", absl::StrCat(section, ".address=127.0.0.1:", port)});
  };
  listen("http", http_port_);
  listen("grpc", grpc_port_);
  listen("admin", admin_port_);
  for (const std::string& setting : settings_) {
    command.insert(command.end(), {"--set", setting});
  }
  const size_t lines_before = Log().size();
  pid_ = Spawn(command, log_path_);
  const bool is_listening =
      Eventually([&] { return absl::StrContains(Log().substr(lines_before), " listening "); }, absl::Seconds(30));
  if (!is_listening) {
    std::fprintf(stderr, "the bridge did not start:\n%s\n", Log().c_str());
    std::abort();
  }
  http_port_ = PortOf(Log(), "http");
  grpc_port_ = PortOf(Log(), "grpc");
  admin_port_ = PortOf(Log(), "admin");
}

std::string BridgeProcess::grpc_target() const { return absl::StrCat("127.0.0.1:", grpc_port_); }

void BridgeProcess::Signal(int signal) const {
  if (pid_ > 0) {  // kill(-1) would be for every process there is
    kill(pid_, signal);
  }
}

std::optional<int> BridgeProcess::WaitForExit(absl::Duration timeout) {
  int status = 0;
  const bool has_ended = pid_ > 0 && Eventually([&] { return waitpid(pid_, &status, WNOHANG) == pid_; }, timeout);
  if (!has_ended) {
    return std::nullopt;
  }
  pid_ = -1;
  return ExitCode(status);
}

void BridgeProcess::Stop(int signal) {
  Signal(signal);
  // By the signal, or by itself and without an error.
  const std::optional<int> code = WaitForExit(absl::Seconds(30));
  if (code != 0 && code != 128 + signal) {
    std::fprintf(stderr, "the bridge did not end by signal %d but with %d:\n%s\n", signal, code.value_or(-1),
                 Log().c_str());
    std::abort();
  }
}

void BridgeProcess::Restart(int signal) {
  Stop(signal);
  Start();
}

double BridgeProcess::Metric(absl::string_view name) const {
  const HttpResponse response = Fetch(admin_port_, "GET", "/metrics");
  for (const absl::string_view line : absl::StrSplit(response.body, '\n')) {
    double value = 0;
    if (absl::StartsWith(line, absl::StrCat(name, " ")) && absl::SimpleAtod(line.substr(name.size() + 1), &value)) {
      return value;
    }
  }
  return 0;
}

bool BridgeProcess::WaitForMetric(absl::string_view name, double value, absl::Duration timeout) const {
  return Eventually([&] { return Metric(name) == value; }, timeout);
}

uint64_t BridgeProcess::ResidentBytes() const { return StatusBytes("VmRSS:"); }

uint64_t BridgeProcess::PeakResidentBytes() const { return StatusBytes("VmHWM:"); }

uint64_t BridgeProcess::StatusBytes(absl::string_view name) const {
  const std::string status = ReadFile(absl::StrCat("/proc/", pid_, "/status"));
  const size_t at = status.find(name.data(), 0, name.size());
  return at == std::string::npos ? 0 : std::strtoull(status.c_str() + at + name.size(), nullptr, 10) * 1024;
}

absl::Duration BridgeProcess::CpuTime() const { return CpuTimeIn(ReadFile(absl::StrCat("/proc/", pid_, "/stat"))); }

absl::Duration BridgeProcess::CpuTimeOfThreads(absl::string_view prefix) const {
  absl::Duration sum;
  for (const auto& thread : std::filesystem::directory_iterator(absl::StrCat("/proc/", pid_, "/task"))) {
    const std::string stat = ReadFile(thread.path() / "stat");
    if (absl::StartsWith(absl::string_view(stat).substr(stat.find('(') + 1), prefix)) {
      sum += CpuTimeIn(stat);
    }
  }
  return sum;
}

size_t BridgeProcess::OpenFiles() const {
  const std::filesystem::directory_iterator files(absl::StrCat("/proc/", pid_, "/fd"));
  return static_cast<size_t>(std::count_if(begin(files), end(files), [](const std::filesystem::directory_entry& file) {
    // A sanitizer looks at memory through a pipe, and at names when it has something to report, also where a
    // suppression swallows that. The bridge has none of its own.
    std::error_code gone;
    return CanMeasureMemory() || !absl::StartsWith(std::filesystem::read_symlink(file, gone).string(), "pipe:");
  }));
}

void BridgeProcess::LimitOpenFiles(size_t files_max) const {
  const rlimit limit{.rlim_cur = files_max, .rlim_max = files_max};
  EXPECT_EQ(prlimit(pid_, RLIMIT_NOFILE, &limit, nullptr), 0);
}

std::string BridgeProcess::Log() const { return ReadFile(log_path_); }

RunResult RunBridge(const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {BinaryPath()};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return RunToEnd(command);
}

RunResult RunBridgeWithOpenFiles(uint64_t files_max, const std::vector<std::string>& arguments) {
  // What this process has inherited would count among them.
  const std::string script = absl::StrCat("exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; ulimit -c 0; ulimit -n ", files_max,
                                          R"(; exec "$0" "$@")");
  std::vector<std::string> command = {"/bin/sh", "-c", script, BinaryPath()};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return RunToEnd(command);
}

bool CanMeasureMemory() {
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  return false;
#endif
#endif
  return true;
}

bool Eventually(const std::function<bool()>& is_true, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (!is_true()) {
    if (absl::Now() > deadline) {
      return false;
    }
    absl::SleepFor(absl::Milliseconds(10));
  }
  return true;
}

}  // namespace bridge::test
