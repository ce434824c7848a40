#include "tests/support/nats_server.h"

#include <arpa/inet.h>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <netinet/in.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/support/bridge_process.h"
#include "tests/support/files.h"
#include "tests/support/jetstream_replica.h"
#include "tests/support/steady_port.h"

namespace bridge::test {
namespace {

[[noreturn]] void Die(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::abort();
}

}  // namespace

NatsServer::NatsServer(Options options) : options_(std::move(options)), port_(SteadyPort()) {
  std::ofstream file(File("nats.conf"));
  file << "listen: \"127.0.0.1:" << port_ << "\"\n";
  if (options_.with_jetstream) {
    file << "jetstream { store_dir: \"" << File("store") << "\" }\n";
  }
  file << options_.configuration << "\n";
  file.close();
  Start();
}

NatsServer::~NatsServer() {
  if (pid_ > 0) {
    Kill();
  }
}

std::string NatsServer::url() const { return absl::StrCat("nats://", options_.user_info, "127.0.0.1:", port_); }

std::string NatsServer::Log() const { return ReadFile(File("log")); }

void NatsServer::Kill() {
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void NatsServer::Start() {
  const std::string log = File("log");
  std::remove(log.c_str());
  // It ends with this process, however that ends.
  std::vector<std::string> words = {"setpriv", "--pdeathsig", "KILL", "nats-server", "-c", File("nats.conf")};
  std::vector<char*> argv;
  for (std::string& word : words) {
    argv.push_back(word.data());
  }
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  const int error = posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    Die("cannot start nats-server: scripts/setup installs it");
  }
  if (options_.await_ready) {
    AwaitReady();
  }
}

void NatsServer::AwaitReady() const {
  if (!Eventually([this] { return absl::StrContains(Log(), "Server is ready"); }, absl::Seconds(30))) {
    Die(absl::StrCat("nats-server did not start:\n", Log()));
  }
}

void NatsServer::RemoveStore() { std::filesystem::remove_all(File("store")); }

void NatsServer::CopyStore() {
  std::filesystem::remove_all(File("copy"));
  std::filesystem::copy(File("store"), File("copy"), std::filesystem::copy_options::recursive);
}

void NatsServer::PutBackStore() {
  RemoveStore();
  std::filesystem::copy(File("copy"), File("store"), std::filesystem::copy_options::recursive);
}

void NatsServer::Stop() {
  kill(pid_, SIGSTOP);
  waitpid(pid_, nullptr, WUNTRACED);  // until it does stand still
}

void NatsServer::Continue() { kill(pid_, SIGCONT); }

NatsCluster::NatsCluster() {
  std::array<uint16_t, kServers> ports = {};
  std::vector<std::string> routes;
  for (uint16_t& port : ports) {
    port = SteadyPort();
    routes.push_back(absl::StrCat("\"nats://127.0.0.1:", port, "\""));
  }
  for (size_t i = 0; i < kServers; ++i) {
    servers_.push_back(std::make_unique<NatsServer>(NatsServer::Options{
        .configuration = absl::StrCat("server_name: \"n", i, "\"\ncluster { name: \"c\", listen: \"127.0.0.1:",
                                      ports.at(i), "\", routes: [", absl::StrJoin(routes, ", "), "] }"),
        .await_ready = false}));
  }
  constexpr int kStartsMax = 4;
  for (int starts = 1; !HasPlace(); ++starts) {
    if (starts == kStartsMax) {
      Die(absl::StrCat("the NATS servers have not become a cluster; the first says:\n", servers_.front()->Log()));
    }
    // NATS 2.10 may never choose a leader where the servers connected to each other at the same moment.
    for (const auto& server : servers_) {
      server->Kill();
      server->RemoveStore();
      server->Start();
    }
  }
}

bool NatsCluster::HasPlace() const {
  // They say that they are ready before they have found each other; until then, which may take half a minute, there is
  // no stream on all.
  for (const auto& server : servers_) {
    server->AwaitReady();
  }
  RawNats raw(url());
  return Eventually([&] { return raw.HasPlaceFor(kServers); }, absl::Seconds(40));
}

std::string NatsCluster::url() const {
  return absl::StrJoin(servers_, ",", [](std::string* out, const auto& server) { out->append(server->url()); });
}

}  // namespace bridge::test
