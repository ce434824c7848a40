#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "bridge/base/clock.h"
#include "bridge/log/event_log.h"
#include "bridge/log/jetstream/link.h"
#include "bridge/log/jetstream/nats_inbox.h"
#include "bridge/log/jetstream/options.h"
#include "bridge/log/jetstream/pull.h"

namespace bridge::log::jetstream {

// Reads pages of the stream. A page's consumer is kept for a while, so that who reads on from there pays for none; one
// pattern is filtered by the server.
//
// Thread-safe; each thread has a number below kReaders of its own.
class PageReader {
 public:
  PageReader(const JetStreamOptions& options, Link* link) : options_(options), link_(link) {}

  // As EventLog::Read and GetBounds; block for some seconds at most.
  absl::StatusOr<Page> Read(const EventLog::ReadOptions& options, size_t thread);
  absl::StatusOr<Bounds> GetBounds();

  // Lets go of consumers that have not been used for a while.
  void DropIdle();

 private:
  // A consumer, and where it stands.
  struct Cursor {
    std::shared_ptr<Session> session;
    std::string filter;
    // It has everything of its filter before this sequence behind it.
    uint64_t next = 0;
    Pull pull;
    // What came for the last page and did not fit in.
    std::deque<InPlace> kept_back = {};
    base::MonotonicTime used = {};

    absl::Duration IdleTime() const { return absl::FromChrono(base::MonotonicClock::now() - used); }
  };
  // A page that is being read.
  struct Reading {
    const EventLog::ReadOptions& options;
    size_t thread = 0;
    size_t entries_max = 0;
    size_t bytes = 0;
    // Of a message of this stream, on average.
    size_t message_bytes = 0;
    Page page = {};
    // The last sequence before the first place where messages are not there.
    std::optional<uint64_t> before_jump = {};
    SpentMessages spent = {};
  };
  enum class Progress { kGoOn, kFull, kExhausted };

  absl::StatusOr<StreamInfo> Stream(const Session& session, absl::Duration age_max);
  absl::StatusOr<Cursor> TakeCursor(const std::shared_ptr<Session>& session, const std::string& filter, uint64_t next);
  void PutBack(Cursor cursor);

  absl::StatusOr<Progress> ReadSome(Cursor* cursor, Reading* reading);
  // Puts a message into the page; false where it belongs into the next one.
  bool Add(const InPlace& message, Reading* reading);
  // The page goes on with this message.
  static void NoteNext(uint64_t sequence, Reading* reading);
  bool AddStored(uint64_t sequence, absl::string_view subject, absl::string_view data, Reading* reading);
  // The server that has the consumer may lag behind: the stream's leader says what else there is up to `newest`.
  absl::Status AskLeader(uint64_t newest, Cursor* cursor, Reading* reading);

  const JetStreamOptions& options_;
  Link* const link_;

  absl::Mutex mutex_;
  std::list<Cursor> cursors_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bridge::log::jetstream
