#include "publisher_client.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/random/random.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "well_formed.h"

namespace demo {
namespace {

using ::bridge::v1::Ack;
using ::bridge::v1::Event;
using ::bridge::v1::Publisher;
using ::bridge::v1::PublishRequest;
using ::bridge::v1::PublishResponse;
using ::bridge::v1::Rejection;

// A connection that no answer comes back on is given up after these two: events would wait on it for ever.
constexpr int kKeepaliveTimeMs = 30'000;
constexpr int kKeepaliveTimeoutMs = 10'000;

// A channel with a connection of its own: behind a load balancer a new connection is what leads away from a bridge that
// is draining.
std::shared_ptr<grpc::Channel> NewChannel(const PublisherClient::Options& options) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  return grpc::CreateCustomChannel(options.target, options.credentials, arguments);
}

// Whether the same event may be accepted later.
bool IsPassing(const Rejection& rejection) {
  return rejection.code() == grpc::StatusCode::UNAVAILABLE ||
         rejection.code() == grpc::StatusCode::RESOURCE_EXHAUSTED || rejection.has_retry_after();
}

// The bridge does not take what was sent, and may not take it the next time.
bool IsOfRequests(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::INVALID_ARGUMENT ||
         status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED;
}

// An event that will never be accepted.
struct Refused {
  Event event;
  Rejection rejection;
};

std::string NewInstance() {
  absl::BitGen bits;
  return absl::StrFormat("%016x", absl::Uniform<uint64_t>(bits));
}

}  // namespace

// One Publish stream, from its start to its status. Thread-safe; its state is guarded by the client's mutex. gRPC never
// runs a reaction inside a Start call, so these are made while the mutex is held.
class PublisherClient::Session final : public grpc::ClientBidiReactor<PublishRequest, PublishResponse> {
 public:
  struct End {
    grpc::Status status;
    bool has_acks = false;
    // How long the bridge asked to wait.
    absl::Duration retry_after;
  };

  // `client` outlives the session.
  explicit Session(PublisherClient* client)
      : client_(*client), stub_(Publisher::NewStub(NewChannel(client->options_))) {}

  void Start() {
    if (client_.options_.token != nullptr) {
      if (const std::string token = client_.options_.token(); !token.empty()) {
        context_.AddMetadata("authorization", absl::StrCat("Bearer ", token));
      }
    }
    stub_->async()->Publish(&context_, this);
    AddHold();  // Pump writes from outside of reactions
    StartRead(&response_);
    StartCall();
  }

  // Writes the next request or ends the writing, where there is reason to and no write is under way.
  void Pump() {
    const absl::MutexLock lock(&client_.mutex_);
    if (writing_ != nullptr || is_half_closed_ || is_broken_) return;
    if (!is_draining_ && client_.sent_ < client_.requests_.size()) {
      writing_ = client_.requests_[client_.sent_++];
      StartWrite(writing_.get());
    } else if (is_draining_ || client_.IsFinished()) {
      is_half_closed_ = true;
      StartWritesDone();
    }
  }

  void Cancel() { context_.TryCancel(); }

  // Blocks until the stream has its status. The session may be destroyed then.
  End AwaitEnd() {
    const absl::MutexLock lock(&client_.mutex_, absl::Condition(&is_done_));
    return {.status = status_, .has_acks = has_acks_, .retry_after = retry_after_};
  }

 private:
  void OnWriteDone(bool ok) override {
    {
      const absl::MutexLock lock(&client_.mutex_);
      writing_ = nullptr;
      is_broken_ = is_broken_ || !ok;
    }
    Pump();
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      const absl::MutexLock lock(&client_.mutex_);
      is_broken_ = true;
      RemoveHold();
      return;
    }
    std::vector<Refused> refused;
    {
      const absl::MutexLock lock(&client_.mutex_);
      for (const Ack& ack : response_.acks()) TakeAck(ack, refused);
      has_acks_ = has_acks_ || response_.acks_size() > 0;
      is_draining_ = is_draining_ || response_.draining();
      if (is_broken_) Cancel();
    }
    for (const Refused& each : refused) {
      if (client_.options_.on_rejected != nullptr) client_.options_.on_rejected(each.event, each.rejection);
    }
    StartRead(&response_);
    Pump();
  }

  void OnDone(const grpc::Status& status) override {
    const absl::MutexLock lock(&client_.mutex_);
    status_ = status;
    is_done_ = true;
  }

  // Takes the oldest request's ack off the client's list. Breaks the stream where it makes no sense any more: because
  // the ack is not that request's, or because an event has to be sent again before all that came after it.
  void TakeAck(const Ack& ack, std::vector<Refused>& refused) ABSL_EXCLUSIVE_LOCKS_REQUIRED(client_.mutex_) {
    if (is_broken_) return;
    if (client_.sent_ == 0 || client_.requests_.front()->request_id() != ack.request_id()) {
      is_broken_ = true;
      return;
    }
    const std::shared_ptr<const Request> request = client_.requests_.front();
    auto again = std::make_shared<Request>();
    again->set_request_id(request->request_id());
    for (const Rejection& rejection : ack.rejected()) {
      if (rejection.index() >= static_cast<uint32_t>(request->events_size())) continue;
      const Event& event = request->events(static_cast<int>(rejection.index()));
      if (IsPassing(rejection)) {
        *again->add_events() = event;
        retry_after_ = std::max(retry_after_, absl::Seconds(rejection.retry_after().seconds()) +
                                                  absl::Nanoseconds(rejection.retry_after().nanos()));
      } else {
        refused.push_back({.event = event, .rejection = rejection});
      }
    }
    client_.unacked_events_ -= static_cast<size_t>(request->events_size() - again->events_size());
    if (again->events_size() > 0) {
      client_.requests_.front() = std::move(again);
      is_broken_ = true;
    } else {
      client_.requests_.pop_front();
      --client_.sent_;
    }
  }

  PublisherClient& client_;
  const std::unique_ptr<Publisher::Stub> stub_;
  grpc::ClientContext context_;
  PublishResponse response_;

  // The request that is being written; held here because its ack may come before its OnWriteDone.
  std::shared_ptr<const Request> writing_ ABSL_GUARDED_BY(client_.mutex_);
  bool is_half_closed_ ABSL_GUARDED_BY(client_.mutex_) = false;
  // Nothing more can be written.
  bool is_broken_ ABSL_GUARDED_BY(client_.mutex_) = false;
  // The bridge wants to be left: no new requests, read to the end.
  bool is_draining_ ABSL_GUARDED_BY(client_.mutex_) = false;
  bool has_acks_ ABSL_GUARDED_BY(client_.mutex_) = false;
  absl::Duration retry_after_ ABSL_GUARDED_BY(client_.mutex_);
  bool is_done_ ABSL_GUARDED_BY(client_.mutex_) = false;
  grpc::Status status_ ABSL_GUARDED_BY(client_.mutex_);
};

PublisherClient::PublisherClient(Options options)
    : options_(std::move(options)), instance_(NewInstance()), thread_([this] { Run(); }) {}

PublisherClient::~PublisherClient() {
  if (thread_.joinable()) Close(absl::InfinitePast()).IgnoreError();
}

absl::Status PublisherClient::Publish(Event event, absl::Time deadline) {
  if (absl::Status status = Check(event); !status.ok()) return status;
  std::shared_ptr<Session> session;
  {
    const absl::MutexLock lock(&mutex_);
    if (!mutex_.AwaitWithDeadline(absl::Condition(this, &PublisherClient::HasRoom), deadline)) {
      return absl::DeadlineExceededError(absl::StrCat(unacked_events_, " events wait for their ack; there is no room"));
    }
    if (is_closing_) return absl::FailedPreconditionError("the client is closed");

    if (event.idempotency_key().empty() && !event.ephemeral()) {
      event.set_idempotency_key(absl::StrCat(instance_, "-", next_key_++));
    }
    const bool joins_last = sent_ < requests_.size() && requests_.back()->events_size() < options_.request_events_max &&
                            requests_.back()->ByteSizeLong() + event.ByteSizeLong() <= options_.request_bytes_max;
    if (!joins_last) {
      requests_.push_back(std::make_shared<Request>());
      requests_.back()->set_request_id(absl::StrCat(next_request_id_++));
    }
    *requests_.back()->add_events() = std::move(event);
    ++unacked_events_;
    session = session_;
  }
  if (session != nullptr) session->Pump();
  return absl::OkStatus();
}

absl::Status PublisherClient::Close(absl::Time deadline) {
  std::shared_ptr<Session> session;
  {
    const absl::MutexLock lock(&mutex_);
    is_closing_ = true;
    session = session_;
  }
  if (session != nullptr) session->Pump();
  size_t unacked_events = 0;
  {
    const absl::MutexLock lock(&mutex_);
    const auto is_over = [this]()
                             ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return requests_.empty() && session_ == nullptr; };
    mutex_.AwaitWithDeadline(absl::Condition(&is_over), deadline);
    is_abandoned_ = true;
    unacked_events = unacked_events_;
    session = session_;
  }
  if (session != nullptr) session->Cancel();
  thread_.join();
  if (unacked_events == 0) return absl::OkStatus();
  return absl::DeadlineExceededError(absl::StrCat(unacked_events, " events have no ack"));
}

void PublisherClient::Run() {
  absl::BitGen bits;
  absl::Duration pause = options_.backoff_min;
  while (true) {
    const auto session = std::make_shared<Session>(this);
    session->Start();
    {
      const absl::MutexLock lock(&mutex_);
      session_ = session;
      if (is_abandoned_) session->Cancel();
    }
    session->Pump();
    const Session::End end = session->AwaitEnd();
    {
      const absl::MutexLock lock(&mutex_);
      session_ = nullptr;
      DropSentEphemeral();
      if (IsFinished()) return;
    }
    const bool was_good = end.has_acks && !IsOfRequests(end.status);
    pause = was_good ? options_.backoff_min : std::min(2 * pause, options_.backoff_max);
    const absl::Duration jittered = std::max(pause * absl::Uniform(bits, 0.5, 1.0), end.retry_after);
    if (options_.on_stream_end != nullptr) options_.on_stream_end(end.status, jittered);
    const absl::MutexLock lock(&mutex_);
    if (mutex_.AwaitWithTimeout(absl::Condition(this, &PublisherClient::IsFinished), jittered)) return;
  }
}

absl::Status PublisherClient::Check(const Event& event) const {
  const auto error = [&event](const auto&... why) {
    return absl::InvalidArgumentError(absl::StrCat("event on \"", absl::CHexEscape(event.topic()), "\": ", why...));
  };
  const size_t bytes = event.ByteSizeLong();
  if (bytes > options_.event_bytes_max) return error(bytes, " bytes; at most ", options_.event_bytes_max);
  if (!IsWellFormed(event)) return error("has a string that is not UTF-8, or is nested too deeply");
  return absl::OkStatus();
}

void PublisherClient::DropSentEphemeral() {
  for (auto request = requests_.begin(); sent_ > 0; --sent_) {
    auto& events = *(*request)->mutable_events();
    const auto dropped =
        std::remove_if(events.begin(), events.end(), [](const Event& each) { return each.ephemeral(); });
    unacked_events_ -= static_cast<size_t>(std::distance(dropped, events.end()));
    events.erase(dropped, events.end());
    request = events.empty() ? requests_.erase(request) : std::next(request);
  }
}

bool PublisherClient::HasRoom() const { return is_closing_ || unacked_events_ < options_.unacked_events_max; }

bool PublisherClient::IsFinished() const { return is_abandoned_ || (is_closing_ && requests_.empty()); }

}  // namespace demo
