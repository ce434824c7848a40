#include "bridge/log/jetstream/session.h"

#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"

#include "bridge/base/status_macros.h"
#include "bridge/log/jetstream/stored_record.h"
#include "bridge/log/jetstream/stream_setup.h"

namespace bridge::log::jetstream {
namespace {

// What an inbox holds is bounded by what was asked for; ephemeral records come unasked, and are dropped beyond this.
constexpr NatsConnection::InboxLimits kAskedFor = {.messages = 1 << 20, .bytes = std::numeric_limits<int>::max()};
constexpr NatsConnection::InboxLimits kLive = {.messages = 1 << 16, .bytes = 16 << 20};

}  // namespace

absl::StatusOr<std::shared_ptr<Session>> Session::Open(const JetStreamOptions& options,
                                                       std::shared_ptr<NatsConnection> connection) {
  ASSIGN_OR_RETURN(StreamInfo stream, FindOrMakeStream(*connection, options));
  std::shared_ptr<Session> session(new Session(std::move(connection), std::move(stream)));
  RETURN_IF_ERROR(session->Subscribe(options));
  return session;
}

absl::Status Session::Subscribe(const JetStreamOptions& options) {
  ASSIGN_OR_RETURN(acks_, connection_->SubscribeBelowNew(kAskedFor));
  ASSIGN_OR_RETURN(kept_, connection_->SubscribeBelowNew(kAskedFor));
  for (Address& reader : readers_) {
    ASSIGN_OR_RETURN(reader, connection_->SubscribeBelowNew(kAskedFor));
  }
  live_.subject = LiveSubject(options.subject_prefix, ">");
  ASSIGN_OR_RETURN(live_.inbox, connection_->Subscribe(live_.subject, kLive));
  return connection_->Flush();
}

void Session::NoteNewest(uint64_t sequence) {
  uint64_t known = newest_.load();
  while (known < sequence && !newest_.compare_exchange_weak(known, sequence)) {
  }
}

}  // namespace bridge::log::jetstream
