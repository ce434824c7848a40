#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <queue>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <absl/base/thread_annotations.h>
#include <absl/container/flat_hash_map.h>
#include <absl/synchronization/mutex.h>
#include <bridge/v1/publisher.grpc.pb.h>
#include <grpcpp/grpcpp.h>

#include "tests/bench/latency.h"

namespace bridge::bench {

struct CallWorkerOptions {
  std::string target;  // 127.0.0.1:9090
  std::string name = "bench";
  uint32_t concurrent = 10'000;
  uint64_t tokens = 10;          // events of an answer
  double tokens_per_second = 0;  // of each call; 0: all at once
  size_t payload_bytes = 64;     // of a token
  bool is_held = false;          // calls end when Finish says so
};

// A worker: one gRPC stream that serves calls, each answered with stamped tokens (Stamp) and an end. The body of a call
// begins with a stamp too, from which its way here is measured.
//
// Thread-safe; one lock, not held while gRPC is called. What is due while a request is being written goes out together
// in the next one.
class CallWorker final : public grpc::ClientBidiReactor<v1::PublishRequest, v1::PublishResponse> {
 public:
  explicit CallWorker(CallWorkerOptions options);

  // Opens the stream, and returns when the bridge has taken `serve`.
  void Start();
  // Ends the stream.
  void Stop();

  // Ends all calls that are held.
  void Finish();
  void Reset();
  void PrintReport(std::string_view kind);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  struct Call {
    uint32_t attempt = 0;
    uint64_t next_index = 0;
  };
  struct Counts {
    uint64_t received = 0;
    uint64_t tokens = 0;
    uint64_t ended = 0;
    uint64_t rejected = 0;
    uint64_t cancelled = 0;
  };
  // When its next token is due, and the call.
  using Due = std::pair<int64_t, std::string>;

  // Sends tokens when they are due, until it stops.
  void Run();
  void TakeCall(const v1::Call& call) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Adds an update with `tokens` more tokens, and the end where they are the last.
  void Answer(const std::string& id, uint64_t tokens) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  v1::CallUpdate& AddUpdate(uint64_t events) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendDue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int64_t WaitNs() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Writes the next request if there is one and none is being written.
  void Pump();

  const CallWorkerOptions options_;
  const std::unique_ptr<v1::Publisher::Stub> stub_;
  grpc::ClientContext context_;
  std::thread sender_;

  // The first is owned by the read that is under way, the second by the write.
  v1::PublishResponse response_;
  v1::PublishRequest writing_;

  absl::Mutex mutex_;
  std::string payload_ ABSL_GUARDED_BY(mutex_);
  std::deque<v1::PublishRequest> waiting_ ABSL_GUARDED_BY(mutex_);
  uint64_t events_in_last_ ABSL_GUARDED_BY(mutex_) = 0;  // of waiting_
  bool is_writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_serving_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_done_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_map<std::string, Call> calls_ ABSL_GUARDED_BY(mutex_);
  std::priority_queue<Due, std::vector<Due>, std::greater<>> due_ ABSL_GUARDED_BY(mutex_);
  Counts counts_ ABSL_GUARDED_BY(mutex_);
  Latency receipt_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bridge::bench
