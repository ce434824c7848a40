#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "tests/support/sse_parser.h"

namespace bridge::test {

// Many event streams on one thread, each of which reconnects with its last event id when it ends, as a browser does.
class StreamFleet {
 public:
  struct Options {
    uint16_t port = 0;
    size_t streams = 1;
    // What the stream of that index asks for: "/events?topic=a".
    std::function<std::string(size_t stream)> target;
    // Called on the fleet's thread, for control events too.
    std::function<void(size_t stream, const SseEvent& event)> on_event;
    // The connection is cut after a random number of received bytes, on average so many; 0 for never.
    size_t cut_after_bytes = 0;
    // The time to a reconnect is up to so long.
    absl::Duration reconnect_max = absl::Milliseconds(50);
    uint64_t seed = 1;
  };

  explicit StreamFleet(Options options);
  ~StreamFleet();
  StreamFleet(const StreamFleet&) = delete;
  StreamFleet& operator=(const StreamFleet&) = delete;

  // Streams that have got their bridge.open since their last connect.
  size_t open_streams() const { return open_streams_; }
  uint64_t connects() const { return connects_; }
  uint64_t cuts() const { return cuts_; }
  uint64_t events() const { return events_; }

 private:
  struct Stream;

  void Run();
  void Connect(size_t index);
  void Disconnect(size_t index);
  void Receive(size_t index);
  void Take(size_t index, const SseEvent& event);

  const Options options_;
  std::mt19937_64 random_;
  int epoll_fd_ = -1;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::atomic<size_t> open_streams_{0};
  std::atomic<uint64_t> connects_{0};
  std::atomic<uint64_t> cuts_{0};
  std::atomic<uint64_t> events_{0};
  std::atomic<bool> is_ending_{false};
  std::thread thread_;
};

}  // namespace bridge::test
