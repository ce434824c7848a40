#include "bridge/log/jetstream_log.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "bridge/base/status_macros.h"
#include "bridge/log/jetstream/api.h"
#include "bridge/log/jetstream/nats_connection.h"
#include "bridge/log/jetstream/session.h"
#include "bridge/ops/logging.h"

namespace bridge::log {
namespace {

using ::bridge::log::jetstream::NatsConnection;
using ::bridge::log::jetstream::Session;
using ::bridge::log::jetstream::StreamInfo;

// How soon NATS is tried again: at first, and at most.
constexpr absl::Duration kRetryMin = absl::Milliseconds(100);
constexpr absl::Duration kRetryMax = absl::Seconds(2);

// How often the stream is looked at: while it answers, and while it does not.
constexpr absl::Duration kWatchInterval = absl::Seconds(1);
constexpr absl::Duration kWatchSilentInterval = absl::Milliseconds(250);

// A cluster's servers may take so long, after one was lost, to agree about where a stream ends.
constexpr absl::Duration kBehindMax = absl::Seconds(20);

}  // namespace

JetStreamLog::JetStreamLog(JetStreamOptions options, absl::AnyInvocable<void(const absl::Status&)> on_fatal)
    : options_(std::move(options)),
      on_fatal_(std::move(on_fatal)),
      publisher_(options_, &link_),
      delivery_(options_, &link_, [this](uint64_t sequence) { publisher_.NoteHandedOver(sequence); }),
      reader_(options_, &link_),
      thread_([this] { Run(); }) {}

JetStreamLog::~JetStreamLog() {
  {
    const absl::MutexLock lock(&mutex_);
    is_ending_ = true;
  }
  link_.End();
  if (const std::shared_ptr<NatsConnection> connecting = SetConnecting(nullptr)) {
    connecting->Close();
  }
  thread_.join();
}

void JetStreamLog::Append(std::vector<Record> records, uint64_t failures_seen, AppendCallback done) {
  publisher_.Append(std::move(records), failures_seen, std::move(done));
}

void JetStreamLog::Follow(Follower* follower, const Tail& tail) { delivery_.Follow(follower, tail); }

void JetStreamLog::ResumeFollow() { delivery_.Resume(); }

void JetStreamLog::Read(const ReadOptions& options, ReadCallback done) { reader_.Read(options, std::move(done)); }

void JetStreamLog::GetBounds(BoundsCallback done) { reader_.GetBounds(std::move(done)); }

void JetStreamLog::Run() {
  absl::Duration retry = kRetryMin;
  while (true) {
    absl::StatusOr<std::shared_ptr<Session>> session = Connect();
    if (session.ok()) {
      retry = kRetryMin;
      last_failure_.clear();
      publisher_.Start(*session);  // before the follower hears of it, for then appends are expected to go
      link_.SetThere(*session);
      ops::LogInfo("nats_connected", {{"server", (*session)->connection().server()},
                                      {"stream", options_.stream},
                                      {"oldest", (*session)->stream().first},
                                      {"newest", (*session)->stream().last}});
      const absl::Status why = Watch(*session);
      more_servers_ = (*session)->connection().DiscoveredServers();
      (*session)->connection().Close();
      if (why.ok()) {
        return;
      }
      link_.counters().disconnects.fetch_add(1, std::memory_order_relaxed);
      TellAway(why);
    } else {
      TellAway(session.status());
      if (absl::IsFailedPrecondition(session.status()) && !is_fatal_told_) {
        is_fatal_told_ = true;
        on_fatal_(session.status());
      }
    }
    if (AwaitTurn(retry)) {
      return;
    }
    retry = std::min(2 * retry, kRetryMax);
  }
}

absl::StatusOr<std::shared_ptr<Session>> JetStreamLog::Connect() {
  ASSIGN_OR_RETURN(const std::shared_ptr<NatsConnection> connection,
                   NatsConnection::Connect(options_, more_servers_, [this] { OnConnectionClosed(); }));
  SetConnecting(connection);
  absl::StatusOr<std::shared_ptr<Session>> opened = Session::Open(options_, connection);
  SetConnecting(nullptr);
  ASSIGN_OR_RETURN(std::shared_ptr<Session> session, std::move(opened));
  const uint64_t handed_over = delivery_.handed_over(session->epoch());
  ASSIGN_OR_RETURN(const bool has_other_message, delivery_.HasOtherMessage(*session));
  if (HasLostItsEnd(session->stream(), handed_over) || has_other_message) {
    ops::LogError("stream_lost_its_end", {{"newest", session->stream().last}, {"seen", handed_over}});
    session->SetLostItsEnd();
    behind_since_.reset();
  } else {
    session->NoteNewest(handed_over);
  }
  link_.NoteStream(session->stream());
  return session;
}

absl::Status JetStreamLog::Watch(const std::shared_ptr<Session>& session) {
  bool is_silent = false;
  while (!AwaitTurn(is_silent ? kWatchSilentInterval : kWatchInterval)) {
    if (!session->connection().is_open()) {
      const std::string why = session->connection().last_error();
      return absl::UnavailableError(absl::StrCat("the connection to NATS is lost", why.empty() ? "" : ": ", why));
    }
    // Before the question: while it is answered the follower gets on, beyond the end that the answer tells.
    const uint64_t handed_over = delivery_.handed_over(session->epoch());
    const absl::StatusOr<StreamInfo> stream = jetstream::GetStream(session->connection(), options_.stream);
    if (absl::IsNotFound(stream.status())) {
      return stream.status();
    }
    if (stream.ok()) {
      RETURN_IF_ERROR(CheckSame(*session, *stream, handed_over));
      link_.NoteStream(*stream);
      publisher_.NoteGone(stream->first - 1);
    }
    if (stream.ok() && is_silent) {
      link_.SetThere(session);
      publisher_.Start(session);
      ops::LogInfo("stream_answers", {{"stream", options_.stream}});
    } else if (!stream.ok() && !is_silent) {
      ops::LogWarn("stream_silent", {{"stream", options_.stream}, {"error", stream.status().message()}});
      link_.SetSilent(stream.status());
      publisher_.Stop(stream.status());
    }
    is_silent = !stream.ok();
  }
  return absl::OkStatus();
}

absl::Status JetStreamLog::CheckSame(const Session& session, const StreamInfo& stream, uint64_t handed_over) {
  if (stream.created != session.epoch()) {
    return absl::UnavailableError("the stream has been made anew");
  }
  return HasLostItsEnd(stream, handed_over) ? absl::UnavailableError("the stream has lost its end") : absl::OkStatus();
}

bool JetStreamLog::HasLostItsEnd(const StreamInfo& stream, uint64_t handed_over) {
  if (stream.last >= handed_over || !stream.has_quorum) {
    behind_since_.reset();
    return false;
  }
  behind_since_ = behind_since_.value_or(base::MonotonicClock::now());
  return stream.config.replicas <= 1 || absl::FromChrono(base::MonotonicClock::now() - *behind_since_) > kBehindMax;
}

void JetStreamLog::TellAway(const absl::Status& why) {
  link_.SetAway(why);
  publisher_.Stop(why);
  if (last_failure_ != why.message()) {
    last_failure_ = std::string(why.message());
    ops::LogWarn("nats_away", {{"error", why.message()}});
  }
}

bool JetStreamLog::AwaitTurn(absl::Duration timeout) {
  const absl::MutexLock lock(&mutex_);
  const auto is_turn = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return is_ending_ || has_closed_; };
  mutex_.AwaitWithTimeout(absl::Condition(&is_turn), timeout);
  has_closed_ = false;
  return is_ending_;
}

std::shared_ptr<NatsConnection> JetStreamLog::SetConnecting(std::shared_ptr<NatsConnection> connection) {
  const bool is_too_late = connection != nullptr && link_.AwaitEnd(absl::ZeroDuration());
  if (is_too_late) {
    connection->Close();
  }
  const absl::MutexLock lock(&mutex_);
  connecting_.swap(connection);
  return connection;
}

void JetStreamLog::OnConnectionClosed() {
  const absl::MutexLock lock(&mutex_);
  has_closed_ = true;
}

}  // namespace bridge::log
