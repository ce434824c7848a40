#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/child_process.h"

namespace bridge::chaos {

// An nginx that balances browsers over bridges and goes to the next one where one is dead or does not answer.
// proxy_buffering is on, as by default: what the bridge says in its own header has to be enough.
class NginxFront {
 public:
  // Its files go into `directory`, which has to be there. Aborts the program where nginx does not start.
  NginxFront(const std::string& directory, const std::vector<uint16_t>& bridge_ports);

  uint16_t port() const { return port_; }
  std::string Log() const { return process_.Log(); }

 private:
  const uint16_t port_;
  test::ChildProcess process_;
};

}  // namespace bridge::chaos
