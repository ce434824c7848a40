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

// Many event streams on one thread, each of which reconnects with its last event id when it ends, as a browser does;
// also after an answer that is no event stream, as a page does for its EventSource.
class StreamFleet {
 public:
  struct Options {
    uint16_t port = 0;
    // Where the stream of that index connects to this time, instead of `port`. Called on the fleet's thread.
    std::function<uint16_t(size_t stream)> port_of = nullptr;
    size_t streams = 1;
    // When the stream of that index connects first.
    std::function<absl::Duration(size_t stream)> starts_after = nullptr;
    // What the stream of that index asks for: "/events?topic=a".
    std::function<std::string(size_t stream)> target;
    // Called on the fleet's thread, for control events too.
    std::function<void(size_t stream, const SseEvent& event)> on_event;
    // The connection is cut after a random number of received bytes, on average so many; 0 for never.
    size_t cut_after_bytes = 0;
    // The time to a reconnect is up to so long, and up to twice as long after each one that has failed.
    absl::Duration reconnect_max = absl::Milliseconds(50);
    absl::Duration reconnect_backoff_max = absl::Milliseconds(50);
    uint64_t seed = 1;
  };

  explicit StreamFleet(Options options);
  ~StreamFleet();
  StreamFleet(const StreamFleet&) = delete;
  StreamFleet& operator=(const StreamFleet&) = delete;

  // Cuts the connections of a part of the streams, chosen by chance, soon.
  void Cut(double share) { share_to_cut_ = share; }

  // Streams that have got their bridge.open since their last connect.
  size_t open_streams() const { return open_streams_; }
  uint64_t connects() const { return connects_; }
  uint64_t cuts() const { return cuts_; }
  uint64_t events() const { return events_; }

 private:
  struct Stream;

  void Run();
  void CutSome();
  void Connect(size_t index);
  void Disconnect(size_t index);
  void Receive(size_t index);
  // Takes what there is of the head; false where it is not whole yet, or the answer is no event stream.
  bool TakeHead(size_t index);
  void Take(size_t index, const SseEvent& event);

  const Options options_;
  std::mt19937_64 random_;
  int epoll_fd_ = -1;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::atomic<size_t> open_streams_{0};
  std::atomic<uint64_t> connects_{0};
  std::atomic<uint64_t> cuts_{0};
  std::atomic<uint64_t> events_{0};
  std::atomic<double> share_to_cut_{0};
  std::atomic<bool> is_ending_{false};
  std::thread thread_;
};

}  // namespace bridge::test
