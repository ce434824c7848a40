#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "tests/support/publisher.h"

#include "bridge/v1/publisher.pb.h"

namespace bridge::test {

// A Publish stream that serves calls, read by a thread of its own. Used from one other thread, and not moved.
//
// What is awaited comes within 10 s, or not at all (nullopt). Each thing that has come is given out once.
class WorkerCall {
 public:
  explicit WorkerCall(Publisher* publisher);
  // Cancels the stream where it has not ended.
  ~WorkerCall();
  WorkerCall(const WorkerCall&) = delete;
  WorkerCall& operator=(const WorkerCall&) = delete;

  struct Held {
    std::string call_id;
    uint32_t attempt = 1;
  };
  bool Serve(const std::string& worker_id, const std::vector<std::string>& names, uint32_t max_concurrent = 10,
             const std::vector<Held>& held = {});
  bool Send(const v1::PublishRequest& request) { return stream_->Write(request); }
  bool Send(const v1::CallUpdate& update);
  // Events of these texts, from that index on.
  bool Answer(const v1::Call& call, uint64_t first_index, const std::vector<std::string>& texts);
  // The end behind them.
  bool End(const v1::Call& call, uint64_t first_index, int32_t code = 0, const std::string& message = "");

  std::optional<v1::Serving> NextServing() { return Next(&Inbox::servings); }
  std::optional<v1::Call> NextCall() { return Next(&Inbox::calls); }
  std::optional<v1::CallCancel> NextCancel() { return Next(&Inbox::cancels); }
  std::optional<v1::CallAck> NextCallAck() { return Next(&Inbox::call_acks); }
  std::optional<v1::Ack> NextAck() { return Next(&Inbox::acks); }
  // Until the log has the events of that call below `next_index`, or the newest ack has an error: returns that ack.
  std::optional<v1::CallAck> AwaitCallAck(const std::string& call_id, uint64_t next_index);
  // How many calls have come that nobody has asked for yet.
  size_t waiting_calls() const;
  bool AwaitDraining();

  void HalfClose() { stream_->WritesDone(); }
  void Cancel() { context_.TryCancel(); }
  // Waits for the stream's end.
  grpc::Status Finish();

 private:
  struct Inbox {
    std::deque<v1::Serving> servings;
    std::deque<v1::Call> calls;
    std::deque<v1::CallCancel> cancels;
    std::deque<v1::CallAck> call_acks;
    std::deque<v1::Ack> acks;
    bool is_draining = false;
    bool is_over = false;
  };

  void Read();
  void Take(const v1::PublishResponse& response);
  // Holds the lock when it returns whether that became true.
  bool AwaitLocked(absl::FunctionRef<bool(const Inbox&)> is_true) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  template <typename Message>
  std::optional<Message> Next(std::deque<Message> Inbox::* queue) {
    const absl::MutexLock lock(&mutex_);
    if (!AwaitLocked([queue](const Inbox& inbox) { return !(inbox.*queue).empty(); })) {
      return std::nullopt;
    }
    Message first = std::move((inbox_.*queue).front());
    (inbox_.*queue).pop_front();
    return first;
  }

  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::PublishRequest, v1::PublishResponse>> stream_;
  mutable absl::Mutex mutex_;
  Inbox inbox_ ABSL_GUARDED_BY(mutex_);
  std::thread reader_;
  bool is_finished_ = false;
};

}  // namespace bridge::test
