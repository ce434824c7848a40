#pragma once

#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace bridge::test {

// A server that a test needs, as a process of its own. Killed with its object, and with the test program. Not
// thread-safe.
class ChildProcess {
 public:
  // `command` is the path of the binary and its arguments. Its output goes to the file `log_path`, behind what is
  // there.
  ChildProcess(std::vector<std::string> command, std::string log_path);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // REQUIRES: it does not run. Aborts the test program where there is no such binary.
  void Start();
  void Signal(int signal) const;
  // Whether it ends in time.
  bool WaitForExit(absl::Duration timeout = absl::Seconds(10));
  // Ends it by `signal`; by SIGKILL where it does not end in time.
  void Stop(int signal);

  bool is_running() const { return pid_ > 0; }
  // What it has written so far.
  std::string Log() const;

 private:
  const std::vector<std::string> command_;
  const std::string log_path_;
  pid_t pid_ = -1;
};

// Whether something accepts connections on the port of 127.0.0.1.
bool IsListening(uint16_t port);

}  // namespace bridge::test
