#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nats/nats.h>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "tests/support/answer.h"
#include "tests/support/recording_follower.h"

#include "bridge/log/event_log.h"
#include "bridge/log/jetstream_log.h"

namespace bridge::test {

// What somebody else does to a stream: calls of the client library, which fail the test where they fail.
class RawNats {
 public:
  explicit RawNats(const std::string& url);
  ~RawNats();
  RawNats(const RawNats&) = delete;
  RawNats& operator=(const RawNats&) = delete;

  // Makes the stream that a log with these options makes, with what `change` changes.
  void MakeStream(const log::JetStreamOptions& options, const std::function<void(jsStreamConfig*)>& change);
  // Whether so many of its servers would hold a stream now.
  bool HasPlaceFor(size_t replicas);
  void DeleteStream(const std::string& stream);
  void DeleteMessage(const std::string& stream, uint64_t sequence);
  // Trims what stands before this sequence.
  void TrimBefore(const std::string& stream, uint64_t sequence);
  // A consumer of the stream has been given messages up to this one.
  bool HasConsumerAt(const std::string& stream, uint64_t sequence);
  // Publishes, and waits until it is stored.
  void Publish(const std::string& subject, std::string_view data);
  void PublishUnstored(const std::string& subject, std::string_view data);

  struct Limits {
    int64_t max_age_ns = 0;
    int64_t max_bytes = 0;
    int64_t duplicate_window_ns = 0;
  };
  Limits LimitsOf(const std::string& stream);
  // Has another server lead the stream, where the leader answers.
  void StepDown(const std::string& stream);
  // The name of the server that leads the stream; empty where there is none.
  std::string LeaderOf(const std::string& stream);

 private:
  natsConnection* connection_ = nullptr;
  jsCtx* jetstream_ = nullptr;
};

// A JetStreamLog with its follower, and calls that wait for their answers.
class Replica {
 public:
  explicit Replica(log::JetStreamOptions options, const log::EventLog::Tail& tail = {});

  log::JetStreamLog& log() { return *log_; }
  RecordingFollower& follower() { return follower_; }
  // What on_fatal has been called with.
  std::vector<absl::Status> fatal() const;
  // Waits for on_fatal, and returns what it was called with.
  std::string AwaitFatal() const;

  bool AwaitCaughtUp() const { return follower_.WaitUntilCaughtUp(); }
  absl::Status health() const { return log_->health(); }
  // Waits until it is OK; or until it is not, and its message has this in it.
  bool AwaitHealthy() const;
  bool AwaitHealthToSay(std::string_view text) const;

  Answer<std::vector<log::Appended>> Start(std::vector<log::Record> records);
  Answer<std::vector<log::Appended>> Start(std::vector<log::Record> records, uint64_t failures_seen);
  absl::StatusOr<std::vector<log::Appended>> Append(std::vector<log::Record> records);
  // Appends one record, again until it is acked; its sequence.
  uint64_t AppendUntilAcked(const log::Record& record);
  absl::StatusOr<log::Page> Read(const log::EventLog::ReadOptions& options);
  absl::StatusOr<log::Bounds> GetBounds();
  // All there is, page by page, from the oldest one; again where the store is away.
  std::vector<log::Entry> ReadAll(size_t entries_max = 1000);

  // Publishes records with the data and keys "0", "1", ... and resends what was not acked, as a publisher does: after
  // the answers of all that was in flight. `on_progress` is called with how many have been acked, whenever some have.
  // Returns the sequence of each.
  std::vector<uint64_t> PublishKeyed(size_t count, const std::function<void(size_t)>& on_progress);

 private:
  struct Fatal {
    mutable absl::Mutex mutex;
    std::vector<absl::Status> told ABSL_GUARDED_BY(mutex);
  };

  const std::shared_ptr<Fatal> fatal_ = std::make_shared<Fatal>();
  RecordingFollower follower_;
  std::unique_ptr<log::JetStreamLog> log_;
};

}  // namespace bridge::test
