#include "tests/chaos/nats_cluster.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/substitute.h"
#include "tests/support/bridge_process.h"
#include "tests/support/raw_http.h"
#include "tests/support/steady_port.h"

namespace bridge::chaos {
namespace {

constexpr char kBinary[] = "/usr/sbin/nats-server";

// $0: the server's name, $1: its port, $2: its directory, $3: the port that tells how it is.
constexpr char kServer[] = R"(
server_name: $0
listen: "127.0.0.1:$1"
http: "127.0.0.1:$3"
jetstream { store_dir: "$2/$0" }
)";

// $0: the cluster's port, $1: the routes. The servers do not tell their clients of each other: the bridges would go
// around the proxies.
constexpr char kCluster[] = R"(
cluster {
  name: chaos
  listen: "127.0.0.1:$0"
  no_advertise: true
  routes: [ $1 ]
}
)";

}  // namespace

NatsCluster::NatsCluster(const std::string& directory, size_t size) : directory_(directory), servers_(size) {
  for (Server& server : servers_) {
    server.port = test::SteadyPort();
    server.cluster_port = test::SteadyPort();
    server.monitor_port = test::SteadyPort();
  }
  for (size_t i = 0; i < size; ++i) {
    const std::string file = absl::StrCat(directory, "/nats-", i);
    WriteConfiguration(absl::StrCat(file, ".conf"), i);
    servers_[i].process = std::make_unique<test::ChildProcess>(
        std::vector<std::string>{kBinary, "-c", absl::StrCat(file, ".conf")}, absl::StrCat(file, ".log"));
    Start(i);
  }
  // They have chosen a leader, which takes long on a busy machine.
  constexpr int kStartsMax = 3;
  for (int starts = 1; !test::Eventually([this] { return IsHealthy(); }, absl::Minutes(1)); ++starts) {
    if (starts == kStartsMax) {
      std::fprintf(stderr, "the NATS servers have not become healthy:\n%s\n", Log(0).c_str());
      std::abort();
    }
    // NATS 2.10 may never choose one where the servers connected to each other at the same moment.
    for (size_t i = 0; i < size; ++i) {
      Kill(i);
      Start(i);
    }
  }
}

void NatsCluster::WriteConfiguration(const std::string& path, size_t index) const {
  std::ofstream file(path);
  file << absl::Substitute(kServer, absl::StrCat("nats-", index), servers_[index].port, directory_,
                           servers_[index].monitor_port);
  if (servers_.size() > 1) {
    const auto route = [](std::string* out, const Server& server) {
      absl::StrAppend(out, "\"nats://127.0.0.1:", server.cluster_port, "\"");
    };
    file << absl::Substitute(kCluster, servers_[index].cluster_port, absl::StrJoin(servers_, ", ", route));
  }
}

bool NatsCluster::IsHealthy() const {
  return std::all_of(servers_.begin(), servers_.end(), [](const Server& server) {
    return server.process->is_running() && test::Fetch(server.monitor_port, "GET", "/healthz").status == 200;
  });
}

void NatsCluster::Kill(size_t index) { servers_[index].process->Stop(SIGKILL); }

void NatsCluster::Start(size_t index) {
  const Server& server = servers_[index];
  server.process->Start();
  if (!test::Eventually([&] { return test::IsListening(server.port); }, absl::Seconds(30))) {
    std::fprintf(stderr, "nats-server did not start:\n%s\n", Log(index).c_str());
    std::abort();
  }
}

void NatsCluster::Signal(size_t index, int signal) const { servers_[index].process->Signal(signal); }

}  // namespace bridge::chaos
