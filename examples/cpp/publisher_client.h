#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>

#include <grpcpp/grpcpp.h>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "bridge/v1/publisher.grpc.pb.h"

namespace demo {

// Publishes events to the bridge on one long-lived Publish stream, in order, and opens a new one whenever it ends.
//
// Thread-safe. Owns a thread and at most one stream at a time.
//
// Guarantees: each event whose Publish returned OK is in the bridge's log once, in the order of the calls, when Close
// returns OK; except those that the bridge rejected, which Options::on_rejected is told. What has no ack when a stream
// ends is sent again, first, on the next one; idempotency keys make a repeat harmless as long as the outage is shorter
// than the bridge's log.idempotency_window. Ephemeral events, which have no key, are sent once: one that has no ack
// when its stream ends may be lost.
//
// Example:
//   demo::PublisherClient client({.target = "127.0.0.1:9090"});
//   bridge::v1::Event event;
//   event.set_topic("orders.eu");
//   event.set_text("hello");
//   if (absl::Status status = client.Publish(std::move(event)); !status.ok()) ...
//   absl::Status status = client.Close(absl::Now() + absl::Seconds(5));
class PublisherClient {
 public:
  struct Options {
    std::string target = "127.0.0.1:9090";
    std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
    // Returns a token, "" for none. Called for each stream, on the client's own thread, so that a new one follows one
    // that has expired.
    absl::AnyInvocable<std::string()> token = nullptr;
    // Events that may wait for their ack; with more, Publish waits.
    size_t unacked_events_max = 10'000;
    // What goes into one request; events that come faster than requests go out share one. So little is hardly ever more
    // work than the bridge takes of one request. Not above grpc.max_events_per_request of the bridge.
    int request_events_max = 100;
    size_t request_bytes_max = size_t{256} << 10;
    // A larger event is refused; one that is larger than request_bytes_max has a request of its own. Well below
    // grpc.max_request_bytes of the bridge.
    size_t event_bytes_max = size_t{1} << 20;
    // The pause before the next stream: doubled for each that ended without an ack, or because of what was sent on it,
    // and jittered.
    absl::Duration backoff_min = absl::Milliseconds(100);
    absl::Duration backoff_max = absl::Seconds(5);
    // The bridge refused this event for good. Called on a thread of gRPC's; must not block nor call the client.
    absl::AnyInvocable<void(const bridge::v1::Event&, const bridge::v1::Rejection&)> on_rejected = nullptr;
    // A stream ended; the next one is opened after `pause`. Called on the client's own thread.
    absl::AnyInvocable<void(const grpc::Status&, absl::Duration pause)> on_stream_end = nullptr;
  };

  explicit PublisherClient(Options options);
  // Closes without waiting for acks.
  ~PublisherClient();

  PublisherClient(const PublisherClient&) = delete;
  PublisherClient& operator=(const PublisherClient&) = delete;

  // Queues `event`, after giving it an idempotency key where it has none and is not ephemeral. Waits while
  // Options::unacked_events_max events have no ack. INVALID_ARGUMENT: larger than Options::event_bytes_max, or with a
  // string that is not UTF-8. DEADLINE_EXCEEDED: there was no room until `deadline`. FAILED_PRECONDITION: the client is
  // closed.
  absl::Status Publish(bridge::v1::Event event, absl::Time deadline = absl::InfiniteFuture());

  // Waits until every event has its ack or `deadline` has come, then ends the stream. Call it once.
  // DEADLINE_EXCEEDED: events were left without an ack; the message says how many.
  absl::Status Close(absl::Time deadline);

 private:
  class Session;
  using Request = bridge::v1::PublishRequest;

  // Opens one stream after the other until the client is closed.
  void Run();
  absl::Status Check(const bridge::v1::Event& event) const;
  // The stream has ended, and what was sent on it is sent again: but not what is to be delivered at most once.
  void DropSentEphemeral() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasRoom() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsFinished() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Options options_;
  // Differs from process to process, so that idempotency keys do.
  const std::string instance_;

  absl::Mutex mutex_;
  // Requests without an ack, oldest first; the first `sent_` of them have been written to the current stream.
  std::deque<std::shared_ptr<Request>> requests_ ABSL_GUARDED_BY(mutex_);
  size_t sent_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t unacked_events_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t next_key_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t next_request_id_ ABSL_GUARDED_BY(mutex_) = 1;
  // Nothing new is accepted; the stream ends after the last ack.
  bool is_closing_ ABSL_GUARDED_BY(mutex_) = false;
  // The deadline of Close has come.
  bool is_abandoned_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<Session> session_ ABSL_GUARDED_BY(mutex_);

  std::thread thread_;
};

}  // namespace demo
