#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "bridge/base/clock.h"
#include "bridge/calls/calls.h"
#include "bridge/calls/worker_stream.h"
#include "bridge/log/event_log.h"
#include "bridge/rpc/ack_queue.h"
#include "bridge/rpc/in_flight_budget.h"
#include "bridge/rpc/intake.h"
#include "bridge/rpc/publish_parts.h"
#include "bridge/rpc/worker_outbox.h"
#include "bridge/v1/publisher.pb.h"

namespace bridge::rpc {

// One publisher: a backend's open Publish stream.
//
// Reads a request, appends it, and acks it when the log has it, in request order; acks that become ready while a
// response is being written go out together. Reads no further while too much is in flight or the publisher does not
// read its acks, and no faster than its identity may publish: gRPC's flow control carries that to the backend.
//
// With its first `serve` it becomes a worker's: calls::Calls is told what the worker says, and what that one is told
// goes into the outbox. A request is acked when Calls has taken its updates too.
//
// Thread-safe; one lock, never held while gRPC, the log or Calls is called.
//
// Owned by itself until OnDone, by the appends that are in flight, and by Calls while it is a worker's.
class PublishStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                            public BudgetWaiter,
                            public calls::WorkerStream,
                            public std::enable_shared_from_this<PublishStream> {
 public:
  struct Limits {
    uint64_t events_in_flight_max = 10'000;
    uint64_t bytes_in_flight_max = uint64_t{16} << 20;
    // After it the publisher is told to reconnect, and some time later the stream ends. Zero for none.
    absl::Duration age_max;
    // A stream to which a response could not be sent for so long is cancelled.
    absl::Duration send_timeout = absl::Seconds(30);
  };

  // `context` is the call's. `on_done` is called when the stream is over.
  static std::shared_ptr<PublishStream> Create(const PublishParts& parts, const Limits& limits,
                                               grpc::CallbackServerContext* context,
                                               absl::AnyInvocable<void(PublishStream*)> on_done);

  // Starts to read. Called once.
  void Begin();

  // Tells the publisher to finish and reconnect.
  void TellDraining();
  // Acks what is in flight and ends the stream with UNAVAILABLE, or with OK where the publisher has half-closed.
  void End(const std::string& why);
  // To be called once a second: ends the stream where its publisher takes no responses, or its token has expired, by
  // the wall clock; then what has been read is acked first.
  void Check(base::MonotonicTime now, absl::Time wall_now);

  // grpc::ServerBidiReactor.
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  // BudgetWaiter.
  void OnBudget() override;

  // calls::WorkerStream.
  void OnCall(calls::AssignedCall call) override;
  void OnStop(absl::string_view call_id, uint32_t attempt, calls::StopReason reason) override;
  void OnAck(calls::CallAck ack) override;
  void OnAcks(std::vector<calls::CallAck> acks) override;
  void OnReplaced() override;

 private:
  PublishStream(PublishParts parts, const Limits& limits, grpc::CallbackServerContext* context,
                absl::AnyInvocable<void(PublishStream*)> on_done);

  void SetAlarm(absl::Time time, void (*action)(PublishStream&), grpc::Alarm* alarm);

  // A request whose events the log has not answered yet, or whose serve or updates Calls has not taken.
  struct Request {
    uint64_t number = 0;
    // In the budget until it is complete.
    uint64_t bytes = 0;
    // Complete when its events are appended; read by who ends its last part.
    v1::Ack ack;
    std::atomic<size_t> parts_left = 0;
  };
  using RequestPtr = std::shared_ptr<Request>;

  void Take(Intake::Batch batch, uint64_t bytes);
  void Append(const RequestPtr& request, Intake::Batch batch, uint64_t failures_seen);
  void OnAppended(const RequestPtr& request, const std::vector<uint32_t>& indexes,
                  const absl::StatusOr<std::vector<log::Appended>>& appended);
  // The events of a request, its serve, or its updates.
  void EndPart(const RequestPtr& request);

  // What the request says of calls (publish_stream_calls.cc). Called where one is read, with is_feeding_.
  absl::Status CallsError() const;
  void FeedCalls(const RequestPtr& request, std::optional<CallIntake::Serving> serving,
                 std::vector<calls::CallUpdate> updates);
  calls::Calls::WorkerHandle BeginServing(v1::Serving&& answer);
  void OnTaken(const RequestPtr& request, bool is_taken);
  // How Calls has to be told now that the worker goes.
  std::optional<calls::Calls::Leave> FindLeave() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Something has to be written to know whether the worker has half-closed.
  bool MustProbe() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // What has to be done next; found under the lock, done without it.
  struct Next {
    bool read = false;
    bool write = false;
    bool cancel = false;
    // Nothing is read until then.
    bool pause = false;
    absl::Duration pause_time;
    // The worker that goes.
    calls::Calls::WorkerHandle worker;
    calls::Calls::Leave leave = calls::Calls::Leave::kBroken;
    bool finish = false;
    grpc::Status status;

    // Something is called, and Finish has to wait for the call's return.
    bool IsStart() const { return read || write || cancel || pause || worker != nullptr; }
  };
  Next FindNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Puts the acks that are ready, and what a worker is to be told, into write_buffer_; false where there is nothing to
  // be said.
  bool TakeResponse() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasRoomToRead() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // How long the publisher has to be held up for its rate.
  absl::Duration PauseTime() const;
  void Resume();
  void GoOn() ABSL_LOCKS_EXCLUDED(mutex_);
  // The stream ends with `status` after what is in flight has been acked.
  void FinishWith(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const PublishParts parts_;
  const Limits limits_;
  // gRPC's, and there until OnDone.
  grpc::CallbackServerContext* const context_;

  // Given to gRPC while a read or a write goes on, and not touched meanwhile.
  grpc::ByteBuffer read_buffer_;
  grpc::ByteBuffer write_buffer_;

  absl::Mutex mutex_;
  absl::AnyInvocable<void(PublishStream*)> on_done_ ABSL_GUARDED_BY(mutex_);
  AckQueue in_flight_ ABSL_GUARDED_BY(mutex_);
  WorkerOutbox outbox_ ABSL_GUARDED_BY(mutex_);
  // Where it serves calls, until it goes.
  calls::Calls::WorkerHandle worker_ ABSL_GUARDED_BY(mutex_);
  // A request's serve and updates are being handed to Calls, which is told only after them that the worker goes.
  bool is_feeding_ ABSL_GUARDED_BY(mutex_) = false;
  size_t parts_untaken_ ABSL_GUARDED_BY(mutex_) = 0;
  // To OnReadDone a stream that breaks ends as one that is half-closed. What is written after that fails where it has
  // broken; so a worker's stream counts as half-closed when something has been written, if need be an empty response.
  enum class HalfClose : uint8_t { kUnknown, kWriting, kSure };
  HalfClose half_close_ ABSL_GUARDED_BY(mutex_) = HalfClose::kUnknown;
  // Appends that the log has not answered, and how often it had failed when there were none. That stays after one of
  // them has failed: so the log takes none of what comes after it.
  size_t appends_unanswered_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t failures_seen_ ABSL_GUARDED_BY(mutex_) = 0;
  bool is_draining_untold_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_draining_told_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_waiting_for_budget_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_paused_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::Status status_ ABSL_GUARDED_BY(mutex_);
  // Threads between having found something to start and having started it: gRPC allows no start after Finish.
  int starting_ ABSL_GUARDED_BY(mutex_) = 0;
  bool is_reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_writing_ ABSL_GUARDED_BY(mutex_) = false;
  // When what is being written was begun.
  base::MonotonicTime write_begun_ ABSL_GUARDED_BY(mutex_);
  bool must_cancel_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_input_over_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_log_failed_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_broken_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_finished_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_done_ ABSL_GUARDED_BY(mutex_) = false;

  grpc::Alarm draining_alarm_;
  grpc::Alarm end_alarm_;
  grpc::Alarm pause_alarm_;
  // Until OnDone.
  std::shared_ptr<PublishStream> self_;
};

}  // namespace bridge::rpc
