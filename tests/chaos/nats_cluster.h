#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/child_process.h"

namespace bridge::chaos {

// NATS servers with JetStream, one or a cluster, which keep their ports and their stores when they are started again.
class NatsCluster {
 public:
  // Stores and logs go into `directory`, which has to be there. Aborts the program where a server does not start.
  NatsCluster(const std::string& directory, size_t size);

  size_t size() const { return servers_.size(); }
  uint16_t port(size_t index) const { return servers_[index].port; }

  // Whether all servers run, and say that they have all that the others have.
  bool IsHealthy() const;

  // Ends the server by SIGKILL, and starts it again.
  void Kill(size_t index);
  void Start(size_t index);
  void Signal(size_t index, int signal) const;

  std::string Log(size_t index) const { return servers_[index].process->Log(); }

 private:
  struct Server {
    uint16_t port = 0;
    uint16_t cluster_port = 0;
    uint16_t monitor_port = 0;
    std::unique_ptr<test::ChildProcess> process;
  };

  void WriteConfiguration(const std::string& path, size_t index) const;

  const std::string directory_;
  std::vector<Server> servers_;
};

}  // namespace bridge::chaos
