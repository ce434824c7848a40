#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <sys/types.h>
#include <vector>

#include "tests/support/temp_dir.h"

namespace bridge::test {

// A real nats-server with JetStream on a free port of the loopback, with a store of its own; ends with this object.
class NatsServer {
 public:
  struct Options {
    bool with_jetstream = true;
    // More lines of its configuration file.
    std::string configuration = {};
    std::string user_info = {};
    // Whether Start waits until it says that it is ready.
    bool await_ready = true;
  };

  NatsServer() : NatsServer(Options()) {}
  explicit NatsServer(Options options);
  ~NatsServer();
  NatsServer(const NatsServer&) = delete;
  NatsServer& operator=(const NatsServer&) = delete;

  // "nats://127.0.0.1:PORT", with the user info of the options.
  std::string url() const;
  uint16_t port() const { return port_; }
  // What it has logged.
  std::string Log() const;

  // Ends it by SIGKILL, and starts it again on the same port and store.
  void Kill();
  void Start();
  void AwaitReady() const;
  // REQUIRES, all: it has been killed.
  void RemoveStore();
  // Copies the store, and puts the last copy in its place.
  void CopyStore();
  void PutBackStore();
  // SIGSTOP and SIGCONT.
  void Stop();
  void Continue();

 private:
  std::string File(const std::string& name) const { return directory_.path() + "/" + name; }

  const Options options_;
  const TempDir directory_;
  const uint16_t port_;
  pid_t pid_ = -1;
};

// Three servers that form a cluster, in which there is place for a stream on all of them.
class NatsCluster {
 public:
  static constexpr size_t kServers = 3;

  NatsCluster();

  NatsServer& server(size_t index) { return *servers_.at(index); }
  // All of them, with commas.
  std::string url() const;

 private:
  // Waits for it.
  bool HasPlace() const;

  std::vector<std::unique_ptr<NatsServer>> servers_;
};

}  // namespace bridge::test
