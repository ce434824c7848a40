#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "bridge/calls/call_types.h"

namespace bridge::calls {

// A call as a worker gets it.
struct AssignedCall {
  std::string id;
  uint32_t attempt = 0;
  std::string name;
  std::string body;
  std::string content_type;
  std::string subject;
  std::vector<std::pair<std::string, std::string>> metadata;
  absl::Duration timeout;
};

// Up to where the log holds the answer to a call.
struct CallAck {
  std::string id;
  uint32_t attempt = 0;
  uint64_t next_index = 0;
  // Why something of an update was not kept.
  absl::Status status;
};

// The stream of a worker, as Calls sees it: what it is told. Called on the loop of Calls; must not block, and may call
// Calls.
class WorkerStream {
 public:
  virtual ~WorkerStream() = default;

  virtual void OnCall(AssignedCall call) = 0;
  virtual void OnStop(absl::string_view call_id, uint32_t attempt, StopReason reason) = 0;
  virtual void OnAck(CallAck ack) = 0;
  // Several, in this order.
  virtual void OnAcks(std::vector<CallAck> acks) = 0;
  // A newer stream with its worker's id has taken over: it is to end ABORTED. It is not told anything after that.
  virtual void OnReplaced() = 0;
};

// What a publisher says to be a worker.
struct Serve {
  std::string worker_id;
  std::vector<std::string> names;
  uint32_t max_concurrent = 0;
  struct Held {
    std::string call_id;
    uint32_t attempt = 0;
  };
  std::vector<Held> held;
};

// An event of an answer: what a record has of it.
struct AnswerEvent {
  std::string type;
  std::string data;
  absl::Duration retry;
};

// What a worker answers to a call.
struct CallUpdate {
  std::string call_id;
  uint32_t attempt = 0;
  uint64_t first_index = 0;
  std::vector<AnswerEvent> events = {};
  // Why the event behind `events` was not taken, and all after it.
  absl::Status rejected = {};
  struct End {
    // A google.rpc.Code.
    int32_t code = 0;
    std::string message;
    // A JSON object; empty for none.
    std::string usage;
  };
  bool has_end = false;
  End end = {};
};

}  // namespace bridge::calls
