#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "tests/chaos/ledger.h"

#include "bridge/v1/publisher.grpc.pb.h"

namespace bridge::chaos {

// A backend as the documents want it: it publishes on one stream at a time with keys, opens another one wherever that
// ends, to any of the bridges, and sends again in order what has no ack. Everything is told to the ledger.
//
// Thread-safe. Owns a thread.
class Backend {
 public:
  struct Options {
    // It is the ledger's publisher `index`; each time it dies it becomes another one, `publishers` higher.
    size_t index = 0;
    size_t publishers = 1;
    std::vector<std::string> targets;
    std::vector<std::string> topics;
    uint64_t seed = 0;
    // Without keys it breaks the rules, and a run has to fail.
    bool has_keys = true;
  };

  // `ledger` outlives it.
  Backend(Options options, Ledger* ledger);
  // Ends without waiting for acks.
  ~Backend();
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  // It may publish so many more events.
  void Allow(size_t events);

  enum class Cut {
    kStream,   // its stream is cancelled
    kAnswer,   // its stream is cancelled in place of the next answer, which is lost
    kProcess,  // it dies: what has no ack is never sent again, and another publisher takes its place
  };
  void Suffer(Cut cut);

  // All that it may publish has been published and acked.
  bool IsDone() const;
  size_t streams() const;

 private:
  struct Batch {
    size_t begin = 0;
    v1::PublishRequest request;
  };
  using Call = grpc::ClientReaderWriter<v1::PublishRequest, v1::PublishResponse>;

  void Run();
  // One stream from its start to its end; whether it brought an ack.
  bool RunStream();
  // Sends and reads until the stream ends or is to be left.
  void Converse(Call& call);
  // Waits for something to do.
  enum class Next { kSend, kRead, kLeave };
  Next AwaitNext();
  void MakeBatch() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool LosesAnswer() const;
  // False where the stream cannot go on.
  bool TakeAck(const v1::Ack& ack);
  void Die() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  size_t publisher() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return options_.index + lives_ * options_.publishers; }

  const Options options_;
  Ledger* const ledger_;
  // What is published, and where: of the one the ledger knows, of the other one nobody needs to.
  std::mt19937_64 event_random_;
  std::mt19937_64 stream_random_;

  mutable absl::Mutex mutex_;
  bool is_ending_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_dying_ ABSL_GUARDED_BY(mutex_) = false;
  size_t lives_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t allowed_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t streams_ ABSL_GUARDED_BY(mutex_) = 0;
  // Without ack, oldest first; the first `sent_` of them have been sent on this stream.
  std::deque<std::shared_ptr<Batch>> unacked_ ABSL_GUARDED_BY(mutex_);
  size_t sent_ ABSL_GUARDED_BY(mutex_) = 0;
  // The current stream's.
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool has_acks_ ABSL_GUARDED_BY(mutex_) = false;
  bool loses_answer_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_draining_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;
};

}  // namespace bridge::chaos
