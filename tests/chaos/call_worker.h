#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "tests/chaos/calls_ledger.h"

#include "bridge/v1/publisher.grpc.pb.h"

namespace bridge::chaos {

// A worker as the documents want it: it serves calls on one stream at a time, opens another one wherever that ends, to
// any of the bridges, with what it holds, and sends again from where the bridge says. Everything is told to the ledger.
//
// Thread-safe. Owns threads: one that sends, and one for each of its streams that reads.
class CallWorker {
 public:
  struct Options {
    // Its id is made of this, and of how many lives it has had.
    size_t index = 0;
    std::vector<std::string> targets;
    std::string name = "chat";
    uint32_t concurrent_max = 100;
    // Of an answer, and how many of them come at once, after each pause.
    uint64_t tokens = 500;
    uint64_t tokens_at_once_max = 10;
    absl::Duration pause_max = absl::Milliseconds(400);
    uint64_t seed = 0;
  };

  // `ledger` outlives it.
  CallWorker(const Options& options, CallsLedger* ledger);
  ~CallWorker();
  CallWorker(const CallWorker&) = delete;
  CallWorker& operator=(const CallWorker&) = delete;

  enum class Cut {
    kStream,   // its stream is cancelled
    kProcess,  // it dies, and another worker that knows of nothing takes its place
  };
  void Suffer(Cut cut);

  // Calls that it works on.
  size_t held() const;
  size_t streams() const;

 private:
  using Key = std::pair<std::string, uint32_t>;  // a call and its attempt
  struct Held {
    // The bridge has said from where this stream is to go on.
    bool is_known = true;
    // What the log has, what has been sent, and what there will be.
    uint64_t acked = 0;
    uint64_t sent = 0;
    uint64_t tokens = 0;
    int32_t code = 0;
    // The request with the end; 0 for none.
    uint64_t end_request = 0;
    absl::Time next_at;
  };
  struct Stream {
    uint64_t number = 0;
    size_t life = 0;
    size_t target = 0;
    grpc::ClientContext context;
    std::unique_ptr<v1::Publisher::Stub> stub;
    std::unique_ptr<grpc::ClientReaderWriter<v1::PublishRequest, v1::PublishResponse>> call;
    std::thread reader;
    // Guarded by the worker's mutex.
    bool is_over = false;
    bool is_draining = false;
    bool needs_serve = true;
    // When the bridge began to owe it something.
    std::optional<absl::Time> waits_since;
  };

  void Run();
  // One turn of the sender; false where the worker ends.
  bool Turn();
  void Open();
  void Read(Stream& stream);
  void Take(Stream& stream, const v1::PublishResponse& response) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeCall(Stream& stream, const v1::Call& call) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeCancel(const v1::CallCancel& cancel) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeAck(const v1::CallAck& ack) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeRequestAck(const v1::Ack& ack) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The stream's end; whether it may end so.
  void NoteEnd(Stream& stream, const grpc::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What is to be sent now; empty for nothing.
  std::optional<v1::PublishRequest> MakeRequest(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AddUpdate(const Key& key, Held* held, absl::Time now, v1::PublishRequest* request)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsOwed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Drop(const Key& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Die() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void JoinOver();
  std::string id() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Duration Pause() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  CallsLedger* const ledger_;

  mutable absl::Mutex mutex_;
  std::mt19937_64 random_ ABSL_GUARDED_BY(mutex_);
  bool is_ending_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_dying_ ABSL_GUARDED_BY(mutex_) = false;
  size_t lives_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<Key, Held> held_ ABSL_GUARDED_BY(mutex_);
  uint64_t requests_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t stream_count_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time opens_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  // Where the next stream goes; another one than the last, where that one was the cause.
  size_t target_ ABSL_GUARDED_BY(mutex_) = 0;
  // The one it sends on is the last; those before it are read to their end. Only the sender adds and removes.
  std::list<Stream> streams_;
  Stream* current_ ABSL_GUARDED_BY(mutex_) = nullptr;

  std::thread thread_;
};

}  // namespace bridge::chaos
