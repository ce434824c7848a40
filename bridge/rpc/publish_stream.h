#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "bridge/base/clock.h"
#include "bridge/log/event_log.h"
#include "bridge/rpc/ack_queue.h"
#include "bridge/rpc/in_flight_budget.h"
#include "bridge/rpc/intake.h"
#include "bridge/rpc/publish_parts.h"
#include "bridge/v1/publisher.pb.h"

namespace bridge::rpc {

// One publisher: a backend's open Publish stream.
//
// Reads a request, appends it, and acks it when the log has it, in request order; acks that become ready while a
// response is being written go out together. Reads no further while too much is in flight or the publisher does not
// read its acks, and no faster than its identity may publish: gRPC's flow control carries that to the backend.
// Thread-safe; one lock, never held while gRPC or the log is called.
//
// Owned by itself until OnDone, and by the appends that are in flight.
class PublishStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                            public BudgetWaiter,
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

 private:
  PublishStream(const PublishParts& parts, const Limits& limits, grpc::CallbackServerContext* context,
                absl::AnyInvocable<void(PublishStream*)> on_done);

  void SetAlarm(absl::Time time, void (*action)(PublishStream&), grpc::Alarm* alarm);

  void Append(Intake::Batch batch, uint64_t bytes);
  void OnAppended(uint64_t number, v1::Ack ack, const std::vector<uint32_t>& indexes,
                  const absl::StatusOr<std::vector<log::Appended>>& appended);

  // What has to be done next; found under the lock, done without it.
  struct Next {
    bool read = false;
    bool write = false;
    bool cancel = false;
    // Nothing is read until then.
    bool pause = false;
    absl::Duration pause_time;
    bool finish = false;
    grpc::Status status;

    // gRPC is called, and Finish has to wait for the call's return.
    bool IsStart() const { return read || write || cancel || pause; }
  };
  Next FindNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Puts the acks that are ready into write_buffer_; false where there is nothing to be said.
  bool TakeReadyAcks() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
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
  // Appends that the log has not answered, and how often it had failed when there were none. That stays after one of
  // them has failed: so the log takes none of what comes after it.
  size_t appends_unanswered_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t failures_seen_ ABSL_GUARDED_BY(mutex_) = 0;
  bool is_draining_untold_ ABSL_GUARDED_BY(mutex_) = false;
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
