#pragma once

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "bridge/base/clock.h"
#include "bridge/log/event_log.h"
#include "bridge/log/jetstream/delivery.h"
#include "bridge/log/jetstream/link.h"
#include "bridge/log/jetstream/options.h"
#include "bridge/log/jetstream/publisher.h"
#include "bridge/log/jetstream/reader.h"

namespace bridge::log {

// The log as a stream of NATS JetStream: any number of bridges share one history, and an ack means that JetStream has
// acked. Sequences are the stream's, the epoch is its creation: an event id means the same to every bridge.
//
// Thread-safe. Its own thread ("the log's thread") keeps the connection, finds or makes the stream, and looks once a
// second whether it is still the same one; publishing, following and reading have theirs.
//
// The constructor does not wait for NATS. While NATS is away or has no leader for the stream, appends and reads fail
// with UNAVAILABLE, in no more than some seconds, and what was followed goes on exactly where it was. A stream that has
// been made anew meanwhile is a new epoch; one that has lost its end is followed anew, and has the epoch and the
// sequences that it had.
//
// The acks that a follower may be behind are bounded by jetstream::Publisher::kAckedAheadMax: beyond that nothing is
// published. So acks do not wait for the consumer, and a follower that stalls stops its bridge's publishers, no others.
//
// An ephemeral record is answered when it has been handed to the connection; it stands where it arrives, unordered
// against the others.
class JetStreamLog final : public EventLog {
 public:
  // `on_fatal` is called where the stream or the server cannot be used as it is, and only an operator can mend that:
  // once at most, on the log's thread. The log goes on trying.
  JetStreamLog(JetStreamOptions options, absl::AnyInvocable<void(const absl::Status&)> on_fatal);
  // REQUIRES: no call is going on.
  ~JetStreamLog() override;
  JetStreamLog(const JetStreamLog&) = delete;
  JetStreamLog& operator=(const JetStreamLog&) = delete;

  uint64_t failures() const override { return publisher_.failures(); }
  using EventLog::Append;
  void Append(std::vector<Record> records, uint64_t failures_seen, AppendCallback done) override;
  void Follow(Follower* follower, const Tail& tail) override;
  void ResumeFollow() override;
  void Read(const ReadOptions& options, ReadCallback done) override;
  bool can_filter() const override { return true; }
  void GetBounds(BoundsCallback done) override;

  absl::Status health() const override { return link_.status(); }
  Stats stats() const override { return link_.stats(); }

 private:
  // --- On the log's thread.

  void Run();
  // Connects and finds the stream.
  absl::StatusOr<std::shared_ptr<jetstream::Session>> Connect();
  // Watches the stream while the connection holds and it stays the same one; returns why that ended, OK at the
  // end of the log.
  absl::Status Watch(const std::shared_ptr<jetstream::Session>& session);
  absl::Status CheckSame(const jetstream::Session& session, const jetstream::StreamInfo& stream, uint64_t handed_over);
  // It ends before what had been handed over when it was asked, and will not come back.
  bool HasLostItsEnd(const jetstream::StreamInfo& stream, uint64_t handed_over);
  void TellAway(const absl::Status& why);
  // Waits for the end of the log, or of the connection; true at the end of the log.
  bool AwaitTurn(absl::Duration timeout);
  // Returns the one that was set before.
  std::shared_ptr<jetstream::NatsConnection> SetConnecting(std::shared_ptr<jetstream::NatsConnection> connection);
  void OnConnectionClosed();

  const JetStreamOptions options_;
  absl::AnyInvocable<void(const absl::Status&)> on_fatal_;

  absl::Mutex mutex_;
  // A connection has ended and that has not been looked at.
  bool has_closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_ending_ ABSL_GUARDED_BY(mutex_) = false;
  // The one on which the stream is being looked for.
  std::shared_ptr<jetstream::NatsConnection> connecting_ ABSL_GUARDED_BY(mutex_);

  // Touched by the log's thread only.
  std::vector<std::string> more_servers_;
  bool is_fatal_told_ = false;
  std::string last_failure_;
  // Since when the stream ends before what has been handed over.
  std::optional<base::MonotonicTime> behind_since_;

  jetstream::Link link_;
  jetstream::Publisher publisher_;
  jetstream::Delivery delivery_;
  jetstream::Reader reader_;
  std::thread thread_;
};

}  // namespace bridge::log
