#include "tests/support/child_process.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

#include "tests/support/bridge_process.h"
#include "tests/support/files.h"
#include "tests/support/raw_http.h"

namespace bridge::test {

ChildProcess::ChildProcess(std::vector<std::string> command, std::string log_path)
    : command_(std::move(command)), log_path_(std::move(log_path)) {}

ChildProcess::~ChildProcess() { Stop(SIGKILL); }

void ChildProcess::Start() {
  std::vector<char*> argv;
  for (const std::string& argument : command_) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  if (access(argv[0], X_OK) != 0) {
    std::fprintf(stderr, "cannot start %s\n", argv[0]);
    std::abort();
  }
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int log = open(log_path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execv(argv[0], argv.data());
    _exit(127);
  }
}

void ChildProcess::Signal(int signal) const {
  if (pid_ > 0) {
    kill(pid_, signal);
  }
}

bool ChildProcess::WaitForExit(absl::Duration timeout) {
  if (pid_ > 0 && Eventually([this] { return waitpid(pid_, nullptr, WNOHANG) == pid_; }, timeout)) {
    pid_ = -1;
  }
  return pid_ < 0;
}

void ChildProcess::Stop(int signal) {
  Signal(signal);
  if (!WaitForExit()) {
    Signal(SIGKILL);
    WaitForExit();
  }
}

std::string ChildProcess::Log() const { return ReadFile(log_path_); }

bool IsListening(uint16_t port) { return RawConnection(port).is_connected(); }

}  // namespace bridge::test
