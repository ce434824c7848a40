#pragma once

#include <cstdint>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/random/random.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "publisher_client.h"
#include "worker_client.h"

namespace demo {

// What a language model would say to `prompt`.
std::string AnswerTo(const std::string& prompt);

// Answers calls with a made-up text, token by token, and says on the topic demo.worker what it does (demo.Worker).
// Thread-safe.
class Chat {
 public:
  struct Options {
    // A second.
    double token_rate = 30;
    // Before the first token.
    absl::Duration thinking = absl::Milliseconds(300);
  };

  // `publisher` outlives it.
  Chat(Options options, PublisherClient* publisher);

  // The handler of a WorkerClient. The body is JSON with a "prompt", or the prompt itself; the call ends with
  // INVALID_ARGUMENT where that is not UTF-8.
  bridge::v1::CallEnd Handle(WorkerClient::Answer& answer);

 private:
  struct Progress {
    const std::string& call_id;
    uint32_t tokens = 0;
  };
  void Say(const std::string& state, const Progress& progress);

  const Options options_;
  PublisherClient& publisher_;
  // Differs from run to run, as the series of the demo's other topics.
  const std::string series_;
  absl::Mutex mutex_;
  uint32_t last_n_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace demo
