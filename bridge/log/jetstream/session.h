#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "bridge/log/jetstream/api.h"
#include "bridge/log/jetstream/nats_connection.h"
#include "bridge/log/jetstream/nats_inbox.h"
#include "bridge/log/jetstream/options.h"

namespace bridge::log::jetstream {

// The threads that read pages.
inline constexpr size_t kReaders = 2;

// A connection to the stream as it was found: as long as it lives, the stream has one epoch. What comes in on it comes
// by a few inboxes that live as long as its connection.
//
// Shared by the parts of the log, each of which reads its own inbox.
class Session {
 public:
  // Finds the stream, or makes it. FAILED_PRECONDITION: only an operator can mend it.
  static absl::StatusOr<std::shared_ptr<Session>> Open(const JetStreamOptions& options,
                                                       std::shared_ptr<NatsConnection> connection);
  ~Session() { connection_->Close(); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  NatsConnection& connection() const { return *connection_; }
  // The stream when the session began.
  const StreamInfo& stream() const { return stream_; }
  uint64_t epoch() const { return stream_.created; }

  // Records that have been handed over are not in the stream any more. Set before others see the session.
  bool has_lost_its_end() const { return has_lost_its_end_; }
  void SetLostItsEnd() { has_lost_its_end_ = true; }

  // JetStream's acks, under SUBJECT.NUMBER.
  const Address& acks() const { return acks_; }
  // What is followed (under SUBJECT.CONSUMER, as with the readers), and what is ephemeral.
  const Address& kept() const { return kept_; }
  const Address& live() const { return live_; }
  const Address& reader(size_t index) const { return readers_.at(index); }

  // The newest sequence that this process knows to be in the stream.
  uint64_t newest() const { return newest_.load(); }
  void NoteNewest(uint64_t sequence);

 private:
  Session(std::shared_ptr<NatsConnection> connection, StreamInfo stream)
      : connection_(std::move(connection)), stream_(std::move(stream)), newest_(stream_.last) {}

  absl::Status Subscribe(const JetStreamOptions& options);

  const std::shared_ptr<NatsConnection> connection_;
  const StreamInfo stream_;
  bool has_lost_its_end_ = false;
  Address acks_;
  Address kept_;
  Address live_;
  std::array<Address, kReaders> readers_;
  // Sequentially consistent: a Read that comes after an ack finds what was acked.
  std::atomic<uint64_t> newest_;
};

}  // namespace bridge::log::jetstream
