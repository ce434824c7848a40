#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

#include "bridge/base/clock.h"
#include "bridge/log/event_log.h"
#include "bridge/log/jetstream/link.h"
#include "bridge/log/jetstream/nats_inbox.h"
#include "bridge/log/jetstream/options.h"
#include "bridge/log/jetstream/stored_record.h"
#include "bridge/log/record_codec.h"

namespace bridge::log::jetstream {

// Publishes the records of appends, many under way at a time, and answers each append when JetStream has acked all of
// its records; one thread publishes, one takes the acks and answers.
//
// How far it runs ahead is bounded in two ways: by what JetStream has not acked, and by what it has acked that the
// follower has not been handed yet. So acks are not held back for the follower, they are just not more than
// kAckedAheadMax ahead of it, because nothing more is published then: a follower that stalls stops the publishers of
// its replica.
//
// Where a record fails, everything that is under way or waits fails with it, and every append that was made without
// having seen that. Each message has a number in its reply subject that is never used again, so that an ack that comes
// too late is no other message's.
class Publisher {
 public:
  static constexpr size_t kUnackedMax = 2048;
  static constexpr size_t kUnackedBytesMax = size_t{8} << 20;
  static constexpr size_t kNotHandedOverMax = 8192;
  static constexpr size_t kAckedAheadMax = kUnackedMax + kNotHandedOverMax;

  Publisher(const JetStreamOptions& options, Link* link);
  // Answers what waits with UNAVAILABLE. REQUIRES: the link has ended.
  ~Publisher();
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  // As EventLog's.
  uint64_t failures() const { return failures_.load(std::memory_order_relaxed); }
  void Append(std::vector<Record> records, uint64_t failures_seen, EventLog::AppendCallback done);

  // A session has begun or answers again; appends are taken from now on.
  void Start(const std::shared_ptr<Session>& session);
  // Fails what is under way and what comes, until Start.
  void Stop(const absl::Status& why);
  // The follower has been handed everything up to this sequence of the session's epoch.
  void NoteHandedOver(uint64_t sequence);
  // The stream holds nothing up to this sequence any more, so the follower cannot be handed it.
  void NoteGone(uint64_t sequence);

 private:
  struct Request {
    std::vector<Record> records;
    EventLog::AppendCallback done;
    std::vector<Appended> appended = {};
    // The records that have neither been acked nor refused.
    size_t open = 0;
    absl::Status failure = {};

    bool IsAnswerable() const { return open == 0 || !failure.ok(); }
  };
  // A message that has not been acked; they stand in the order of their numbers, without a hole.
  struct Unacked {
    uint64_t request = 0;
    size_t index = 0;
    size_t bytes = 0;
    base::MonotonicTime published = {};
    bool is_acked = false;
  };
  struct Ack {
    uint64_t number = 0;
    absl::StatusOr<PubAck> ack;
  };
  // A record on its way to the server.
  struct Encoded {
    size_t index = 0;
    std::string subject = {};
    // Where its data stands in the slice's bytes.
    size_t at = 0;
    size_t size = 0;
    std::string message_id = {};
    bool ephemeral = false;
    uint64_t number = 0;
  };
  // Records of one request that are published together.
  struct Slice {
    std::shared_ptr<Session> session;
    // So many at its start: where there are more, its records have failed.
    uint64_t failures = 0;
    uint64_t request = 0;
    std::vector<Record> records;
    std::vector<Encoded> encoded;
    std::string bytes;
  };

  void DropHandedOver(uint64_t up_to) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FailAll(const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Request& RequestOf(uint64_t number) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return requests_[number - first_request_];
  }
  bool HasRoom() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  // For the thread that publishes.
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  // --- On the thread that publishes.

  void RunPublishing();
  bool HasSlice();
  // Waits for records and room for them; false at the end.
  bool AwaitSlice(Slice* slice);
  void Encode(Slice* slice);
  // Gives the slice's records their numbers, and refuses those that are too large; as many as there is room for, the
  // others later. Returns how many were looked at; 0 where there has been a failure meanwhile.
  size_t Number(Slice* slice, size_t from);
  // Publishes the slice's records [from, to).
  absl::Status Publish(const Slice& slice, size_t from, size_t to);
  // The ephemeral ones among them are as good as answered.
  void AcceptEphemeral(const Slice& slice, size_t from, size_t to);

  // --- On the thread that answers.

  void RunAnswering();
  bool AwaitWork(std::shared_ptr<Session>* session);
  void TakeAcks(const Session& session);
  void Apply(Ack ack) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Moves the requests that can be answered out of the queue.
  void TakeAnswerable();
  void Answer();

  const JetStreamOptions& options_;
  Link* const link_;

  absl::Mutex mutex_;
  bool is_ending_ ABSL_GUARDED_BY(mutex_) = false;
  // Every append fails.
  bool is_stopped_ ABSL_GUARDED_BY(mutex_) = true;
  // The last failure.
  absl::Status failure_ ABSL_GUARDED_BY(mutex_) = absl::UnavailableError("NATS has not been reached yet");
  // Written with the mutex held. Relaxed: who has been answered sees what was counted before.
  std::atomic<uint64_t> failures_{0};
  std::shared_ptr<Session> session_ ABSL_GUARDED_BY(mutex_);

  // Those that have not been answered, numbered through; the next one to be published.
  std::deque<Request> requests_ ABSL_GUARDED_BY(mutex_);
  uint64_t first_request_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t next_request_ ABSL_GUARDED_BY(mutex_) = 0;

  // Messages, numbered through over all sessions.
  std::deque<Unacked> unacked_ ABSL_GUARDED_BY(mutex_);
  uint64_t first_unacked_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t unacked_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  // Sequences that have been acked and not been handed over, and how far that has come; of one epoch.
  std::deque<uint64_t> not_handed_over_ ABSL_GUARDED_BY(mutex_);
  uint64_t handed_over_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t epoch_ ABSL_GUARDED_BY(mutex_) = 0;

  // Touched by the thread that publishes only.
  MessageIds message_ids_;
  RecordEncoder encoder_;
  std::string reply_;
  // Touched by the thread that answers only.
  std::vector<Ack> acks_;
  SpentMessages spent_;
  std::vector<Request> answerable_;

  std::thread publishing_;
  std::thread answering_;
};

}  // namespace bridge::log::jetstream
