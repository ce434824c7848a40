#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/bench/latency.h"
#include "tests/bench/progress.h"

namespace bridge::bench {

struct PublishOptions {
  std::string target;  // 127.0.0.1:9090
  std::string token;   // shown by gRPC where not empty
  std::string topic;   // "{}" in it becomes 0 to topics - 1, in turn
  size_t topics = 1;
  size_t payload_bytes = 256;
  uint64_t events = 0;           // 0: as many as `seconds` allow
  double seconds = 10;           // the longest time to publish for
  double events_per_second = 0;  // 0: as fast as the limits below allow
  uint64_t batch = 1;            // events in a request; with HTTP always 1
  uint64_t window = 1000;        // requests that may wait for their acks
  std::string progress_file;     // see Progress; empty for none
  uint64_t lag_events_max = 32;  // with progress_file: events of its topic that a receiver may be behind
};

struct PublishResult {
  uint64_t events = 0;
  uint64_t rejected = 0;
  double seconds = 0;  // from the first request to the last ack
  std::string last_id;
  Latency ack_latency;  // of requests
};

// When the next event of a run may go, and what it is. Not thread-safe.
class PublishPlan {
 public:
  explicit PublishPlan(PublishOptions options);

  // Fixes the start of the run.
  void Start();
  // All events have been taken, or the time is over.
  bool is_over() const;
  // The next batch (or what is left of it) is due, and no receiver lags too far behind.
  bool MayPublish() const;
  // How long to sleep before MayPublish can become true by itself; at most 100 ms.
  int64_t WaitNs() const;

  // How many events the next request should have; at least 1 unless is_over().
  uint64_t NextBatch() const;
  // The next event: its topic's number, and its payload written into `payload`, which came from MakePayload.
  size_t TakeEvent(std::string& payload);

  uint64_t taken() const { return taken_; }
  const std::string& topic(size_t number) const { return topics_[number]; }
  double ElapsedSeconds() const;

 private:
  int64_t DueNs() const;

  const PublishOptions options_;
  std::vector<std::string> topics_;
  std::unique_ptr<Progress> progress_;
  int64_t start_ns_ = 0;
  uint64_t taken_ = 0;
};

}  // namespace bridge::bench
