#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "bridge/v1/publisher.grpc.pb.h"

namespace demo {

// Serves calls: gets what browsers ask by POST /calls/NAME, and answers each with a stream of events.
//
// Thread-safe. Owns a thread, one for each call, and one stream; two while it moves to another replica.
//
// Guarantees: the events of an answer are in the bridge's log once and in order, however often the stream breaks, as
// long as it comes back within the bridge's calls.worker_grace. What the log does not have when a stream ends is sent
// again on the next one. An event that the bridge cannot take ends its call, and no other.
//
// Example:
//   demo::WorkerClient worker({.names = {"chat"}}, [](demo::WorkerClient::Answer& answer) {
//     bridge::v1::CallEnd end;
//     for (const std::string& token : Think(answer.call().body())) {
//       bridge::v1::Event event;
//       event.set_type("token");
//       event.set_text(token);
//       if (!answer.Send(std::move(event))) break;  // nobody wants the rest
//     }
//     return end;
//   });
//   ...
//   absl::Status status = worker.Close(absl::Now() + absl::Seconds(30));
class WorkerClient {
 public:
  class Answer;
  // Answers a call, on a thread of its own. Returns soon after Send has returned false or AwaitCancel true; what it
  // took until then is told all the same.
  using Handler = std::function<bridge::v1::CallEnd(Answer&)>;

  struct Options {
    std::string target = "127.0.0.1:9090";
    std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
    // Returns a token, "" for none. Called for each stream, on the client's own thread.
    absl::AnyInvocable<std::string()> token = nullptr;
    std::vector<std::string> names;
    // Calls that it has at a time.
    uint32_t calls_max = 8;
    // The pause before the next stream: doubled for each that served nothing, or ended because of what was sent on it,
    // and jittered. Well below the bridge's calls.worker_grace.
    absl::Duration backoff_min = absl::Milliseconds(100);
    absl::Duration backoff_max = absl::Seconds(2);
    // The bridge does not let this worker serve one of the names. Called on a thread of gRPC's; must not block nor call
    // the client.
    absl::AnyInvocable<void(const bridge::v1::Rejection&)> on_rejected = nullptr;
    // A stream ended; the next one is opened after `pause`. Called on the client's own thread.
    absl::AnyInvocable<void(const grpc::Status&, absl::Duration pause)> on_stream_end = nullptr;
  };

  WorkerClient(Options options, Handler handler);
  // Ends without waiting for the calls that it has: only for their handlers, which are told to stop.
  ~WorkerClient();

  WorkerClient(const WorkerClient&) = delete;
  WorkerClient& operator=(const WorkerClient&) = delete;

  // Takes no more calls, waits until those that it has are answered or `deadline` has come, then ends the stream. Call
  // it once. DEADLINE_EXCEEDED: calls were left without an end; the message says how many.
  absl::Status Close(absl::Time deadline);

 private:
  class Session;

  // Opens one stream after the other until the client is closed.
  void Run();
  std::shared_ptr<Session> OpenSession(uint64_t number);
  void NoteEnd(Session* session, const grpc::Status& status);
  // Has every stream write what there is to write.
  void PumpAll();
  void Handle(const std::shared_ptr<Answer>& answer);
  void JoinFinished();

  bool HasOpenSession() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsFinished() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Nothing more is written on it: the client has finished, or all calls have moved to a newer stream.
  bool IsOver(const Session& session) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FillServe(bridge::v1::Serve* serve) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Adds what is to be sent of all answers on this stream.
  void FillUpdates(const Session& session, bridge::v1::PublishRequest* request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeResponse(Session* session, const bridge::v1::PublishResponse& response)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeCall(const Session& session, const bridge::v1::Call& call) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeCancel(const bridge::v1::CallCancel& cancel) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeCallAck(Session* session, const bridge::v1::CallAck& ack) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Options options_;
  const Handler handler_;
  // The same on each stream: by it the bridge knows that a worker has come back.
  const std::string worker_id_;

  absl::Mutex mutex_;
  // Those of which the log does not have all, by call and attempt.
  std::map<std::pair<std::string, uint32_t>, std::shared_ptr<Answer>> answers_ ABSL_GUARDED_BY(mutex_);
  // In the order of their opening.
  std::vector<std::shared_ptr<Session>> sessions_ ABSL_GUARDED_BY(mutex_);
  // Handlers that have not returned, and threads of those that have.
  size_t handlers_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::thread> finished_ ABSL_GUARDED_BY(mutex_);
  // No more calls; the stream ends after the last answer.
  bool is_closing_ ABSL_GUARDED_BY(mutex_) = false;
  // The deadline of Close has come.
  bool is_abandoned_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;
};

// A call that this worker has, and what it has answered. Thread-safe; lives until its handler has returned.
class WorkerClient::Answer {
 public:
  // `client` outlives the answer.
  Answer(WorkerClient* client, bridge::v1::Call call);

  const bridge::v1::Call& call() const { return call_; }

  // Adds an event, whose topic and key are unset. Waits while many have no ack. False: the rest is not wanted; or the
  // event is larger than 1 MiB or has a string that is not UTF-8, which ends the call with INVALID_ARGUMENT.
  bool Send(bridge::v1::Event event);

  // Waits for `duration`; at once true when the rest of the answer is not wanted, or comes not to be.
  bool AwaitCancel(absl::Duration duration);

 private:
  friend class WorkerClient;

  bool MaySend() const;
  uint64_t next_index() const { return acked_ + events_.size(); }
  // The event and the end that are still to be sent; nullptr for none.
  const bridge::v1::Event* NextEvent() const { return sent_ < next_index() ? &events_[sent_ - acked_] : nullptr; }
  const bridge::v1::CallEnd* EndDue() const { return end_.has_value() && end_request_ == 0 ? &*end_ : nullptr; }
  // What has no ack is to be sent, or sent again.
  void Rewind();

  WorkerClient& client_;
  const bridge::v1::Call call_;
  std::thread thread_;

  // Guarded by the client's mutex, as all that follows. The events without an ack: number acked_ and those behind it.
  std::deque<bridge::v1::Event> events_;
  uint64_t acked_ = 0;
  // The stream on which the bridge takes updates of this call, because it has given it there or acked it there, and the
  // number of the event that is sent there next.
  uint64_t session_ = 0;
  uint64_t sent_ = 0;
  // Set when the handler has returned.
  std::optional<bridge::v1::CallEnd> end_;
  // The request in which the end was sent; 0 for none. Its ack says that the log has the whole answer.
  uint64_t end_request_ = 0;
  // Why the rest is not taken, by the bridge or by Send.
  std::optional<bridge::v1::CallAck> refusal_;
  bool is_cancelled_ = false;
};

}  // namespace demo
