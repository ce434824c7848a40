#include "worker_client.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "well_formed.h"

namespace demo {
namespace {

using ::bridge::v1::Ack;
using ::bridge::v1::Call;
using ::bridge::v1::CallAck;
using ::bridge::v1::CallCancel;
using ::bridge::v1::CallEnd;
using ::bridge::v1::CallUpdate;
using ::bridge::v1::Event;
using ::bridge::v1::Publisher;
using ::bridge::v1::PublishRequest;
using ::bridge::v1::PublishResponse;
using ::bridge::v1::Rejection;
using ::bridge::v1::Serve;

// A connection that no answer comes back on is given up after these two.
constexpr int kKeepaliveTimeMs = 30'000;
constexpr int kKeepaliveTimeoutMs = 10'000;

// Events of an answer that may wait for their ack; with more, its handler waits.
constexpr size_t kUnackedEventsMax = 100;

// Of one request. So little is hardly ever more work than the bridge takes of one. Not above
// grpc.max_events_per_request of the bridge.
constexpr int kRequestEventsMax = 1000;
constexpr size_t kRequestBytesMax = size_t{256} << 10;
// Of one event, which may have a request of its own. Well below grpc.max_request_bytes of the bridge.
constexpr size_t kEventBytesMax = size_t{1} << 20;
// Of an end's message, as the bridge takes it.
constexpr size_t kMessageBytesMax = 1024;

// A channel with a connection of its own: behind a load balancer a new connection is what leads away from a bridge that
// is draining.
std::shared_ptr<grpc::Channel> NewChannel(const WorkerClient::Options& options) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  return grpc::CreateCustomChannel(options.target, options.credentials, arguments);
}

std::string NewWorkerId() {
  absl::BitGen bits;
  return absl::StrFormat("%016x", absl::Uniform<uint64_t>(bits));
}

absl::Status CheckEvent(const Event& event) {
  if (event.ByteSizeLong() > kEventBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("the event has ", event.ByteSizeLong(), " bytes; at most ", kEventBytesMax));
  }
  if (!IsWellFormed(event)) {
    return absl::InvalidArgumentError("the event has a string that is not UTF-8, or is nested too deeply");
  }
  return absl::OkStatus();
}

// As much of it as a message may have, cut between two characters.
std::string Shortened(const std::string& message) {
  const auto continues = [&message](size_t at) { return (static_cast<unsigned char>(message[at]) & 0xC0U) == 0x80; };
  size_t end = std::min(message.size(), kMessageBytesMax);
  while (end > 0 && end < message.size() && continues(end)) --end;
  return message.substr(0, end);
}

// The end that a handler has returned, as it can be sent.
CallEnd Sendable(CallEnd end) {
  end.set_message(Shortened(end.message()));
  if (end.ByteSizeLong() <= kEventBytesMax && IsWellFormed(end)) return end;
  CallEnd failed;
  failed.set_code(grpc::StatusCode::INTERNAL);
  failed.set_message("the end that the handler returned is too large, or has a string that is not UTF-8");
  return failed;
}

// Whether the next stream may fare better: not where another process has the same worker_id (ABORTED), and not where
// the bridge does not take what is sent.
bool IsPassing(const grpc::Status& status) {
  return status.error_code() != grpc::StatusCode::ABORTED &&
         status.error_code() != grpc::StatusCode::INVALID_ARGUMENT &&
         status.error_code() != grpc::StatusCode::RESOURCE_EXHAUSTED;
}

}  // namespace

// One Publish stream, from its start to its status. Thread-safe; its state is guarded by the client's mutex. gRPC never
// runs a reaction inside a Start call, so these are made while the mutex is held.
class WorkerClient::Session final : public grpc::ClientBidiReactor<PublishRequest, PublishResponse> {
 public:
  // `client` outlives the session.
  Session(WorkerClient* client, uint64_t its_number)
      : number(its_number), client_(*client), stub_(Publisher::NewStub(NewChannel(client->options_))) {}

  void Start(const std::string& token) {
    if (!token.empty()) context_.AddMetadata("authorization", absl::StrCat("Bearer ", token));
    stub_->async()->Publish(&context_, this);
    AddHold();  // Pump writes from outside of reactions
    StartRead(&response_);
    StartCall();
  }

  // Writes the next request or ends the writing, where there is reason to and no write is under way.
  void Pump() {
    const absl::MutexLock lock(&client_.mutex_);
    if (is_writing_ || is_half_closed || is_broken_) return;
    request_.Clear();
    if (std::exchange(is_serve_due, false)) client_.FillServe(request_.mutable_serve());
    client_.FillUpdates(*this, &request_);
    if (request_.has_serve() || request_.call_updates_size() > 0) {
      request_.set_request_id(absl::StrCat(next_request++));
      is_writing_ = true;
      StartWrite(&request_);
    } else if (client_.IsOver(*this)) {
      is_half_closed = true;
      StartWritesDone();
    }
  }

  void Cancel() { context_.TryCancel(); }

  const uint64_t number;

  // Guarded by the client's mutex, as what is private.
  uint64_t next_request = 1;
  bool is_serve_due = true;
  bool is_serving = false;
  // The bridge wants to be left: the next stream is opened, and the calls move there.
  bool is_draining = false;
  bool is_half_closed = false;
  bool is_done = false;
  grpc::Status status;

 private:
  void OnWriteDone(bool ok) override {
    {
      const absl::MutexLock lock(&client_.mutex_);
      is_writing_ = false;
      is_broken_ = is_broken_ || !ok;
    }
    Pump();
  }

  void OnReadDone(bool ok) override {
    {
      const absl::MutexLock lock(&client_.mutex_);
      if (!ok) {
        is_broken_ = true;
        RemoveHold();
        return;
      }
      client_.TakeResponse(this, response_);
    }
    for (const Rejection& rejection : response_.serving().rejected()) {
      if (client_.options_.on_rejected != nullptr) client_.options_.on_rejected(rejection);
    }
    StartRead(&response_);
    client_.JoinFinished();
    client_.PumpAll();
  }

  void OnDone(const grpc::Status& its_status) override {
    client_.NoteEnd(this, its_status);  // from here on it may be destroyed
  }

  WorkerClient& client_;
  const std::unique_ptr<Publisher::Stub> stub_;
  grpc::ClientContext context_;
  PublishRequest request_;
  PublishResponse response_;
  bool is_writing_ = false;
  // Nothing more can be written.
  bool is_broken_ = false;
};

// --- A call.

WorkerClient::Answer::Answer(WorkerClient* client, Call call) : client_(*client), call_(std::move(call)) {}

bool WorkerClient::Answer::Send(Event event) {
  const absl::Status status = CheckEvent(event);
  {
    const absl::MutexLock lock(&client_.mutex_, absl::Condition(this, &Answer::MaySend));
    if (is_cancelled_) return false;
    if (!status.ok()) {
      // As the bridge refuses one that it can parse: what came before stays, and the call ends with the reason.
      refusal_.emplace();
      refusal_->set_code(static_cast<int>(status.code()));
      refusal_->set_message(std::string(status.message()));
      is_cancelled_ = true;
      return false;
    }
    events_.push_back(std::move(event));
  }
  client_.PumpAll();
  return true;
}

bool WorkerClient::Answer::AwaitCancel(absl::Duration duration) {
  const absl::MutexLock lock(&client_.mutex_);
  return client_.mutex_.AwaitWithTimeout(absl::Condition(&is_cancelled_), duration);
}

bool WorkerClient::Answer::MaySend() const { return is_cancelled_ || events_.size() < kUnackedEventsMax; }

void WorkerClient::Answer::Rewind() {
  sent_ = acked_;
  end_request_ = 0;
}

// --- From the first stream to the last.

WorkerClient::WorkerClient(Options options, Handler handler)
    : options_(std::move(options)),
      handler_(std::move(handler)),
      worker_id_(NewWorkerId()),
      thread_([this] { Run(); }) {}

WorkerClient::~WorkerClient() {
  if (thread_.joinable()) Close(absl::InfinitePast()).IgnoreError();
}

absl::Status WorkerClient::Close(absl::Time deadline) {
  {
    const absl::MutexLock lock(&mutex_);
    is_closing_ = true;
    if (!sessions_.empty()) sessions_.back()->is_serve_due = true;
  }
  PumpAll();
  size_t unfinished = 0;
  {
    const auto is_over = [this]()
                             ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return answers_.empty() && !HasOpenSession(); };
    const absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithDeadline(absl::Condition(&is_over), deadline);
    is_abandoned_ = true;
    unfinished = answers_.size();
    for (const auto& [key, answer] : answers_) answer->is_cancelled_ = true;
    for (const auto& session : sessions_) session->Cancel();
  }
  thread_.join();
  if (unfinished == 0) return absl::OkStatus();
  return absl::DeadlineExceededError(absl::StrCat(unfinished, " calls were not answered to their end"));
}

void WorkerClient::Run() {
  absl::BitGen bits;
  absl::Duration pause = options_.backoff_min;
  for (uint64_t number = 1;; ++number) {
    const std::shared_ptr<Session> session = OpenSession(number);
    grpc::Status status;
    bool is_done = false;
    {
      const auto is_left = [&session] { return session->is_done || session->is_draining; };
      const absl::MutexLock lock(&mutex_, absl::Condition(&is_left));
      if (IsFinished()) break;
      is_done = session->is_done;
      status = session->status;
      const bool was_good = session->is_serving && !session->is_draining && IsPassing(status);
      pause = was_good ? options_.backoff_min : std::min(2 * pause, options_.backoff_max);
    }
    const absl::Duration jittered = pause * absl::Uniform(bits, 0.5, 1.0);
    if (is_done && options_.on_stream_end != nullptr) options_.on_stream_end(status, jittered);
    const absl::MutexLock lock(&mutex_);
    if (mutex_.AwaitWithTimeout(absl::Condition(this, &WorkerClient::IsFinished), jittered)) break;
  }
  PumpAll();
  {
    const auto is_over = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !HasOpenSession() && handlers_ == 0; };
    const absl::MutexLock lock(&mutex_, absl::Condition(&is_over));
  }
  JoinFinished();
}

std::shared_ptr<WorkerClient::Session> WorkerClient::OpenSession(uint64_t number) {
  const std::string token = options_.token != nullptr ? options_.token() : "";
  auto session = std::make_shared<Session>(this, number);
  std::vector<std::shared_ptr<Session>> open;
  {
    const absl::MutexLock lock(&mutex_);
    std::copy_if(sessions_.begin(), sessions_.end(), std::back_inserter(open),
                 [](const auto& each) { return !each->is_done; });
    sessions_.swap(open);
    sessions_.push_back(session);
    session->Start(token);
    if (is_abandoned_) session->Cancel();
  }
  session->Pump();
  return session;
}

void WorkerClient::NoteEnd(Session* session, const grpc::Status& status) {
  const absl::MutexLock lock(&mutex_);
  // The newest stream may not know of calls that this one was given last.
  sessions_.back()->is_serve_due =
      sessions_.back()->is_serve_due || std::any_of(answers_.begin(), answers_.end(), [session](const auto& each) {
        return each.second->session_ == session->number;
      });
  session->status = status;
  session->is_done = true;
}

bool WorkerClient::HasOpenSession() const {
  return std::any_of(sessions_.begin(), sessions_.end(), [](const auto& each) { return !each->is_done; });
}

bool WorkerClient::IsFinished() const { return is_abandoned_ || (is_closing_ && answers_.empty()); }

bool WorkerClient::IsOver(const Session& session) const {
  if (IsFinished()) return true;
  const Session& newest = *sessions_.back();
  return session.is_draining && newest.number > session.number && newest.is_serving &&
         std::none_of(answers_.begin(), answers_.end(),
                      [&session](const auto& each) { return each.second->session_ == session.number; });
}

void WorkerClient::JoinFinished() {
  std::vector<std::thread> finished;
  {
    const absl::MutexLock lock(&mutex_);
    finished.swap(finished_);
  }
  for (std::thread& each : finished) each.join();
}

// --- What is sent.

void WorkerClient::PumpAll() {
  std::vector<std::shared_ptr<Session>> sessions;
  {
    const absl::MutexLock lock(&mutex_);
    sessions = sessions_;
  }
  for (const auto& session : sessions) session->Pump();
}

void WorkerClient::FillServe(Serve* serve) const {
  serve->set_worker_id(worker_id_);
  serve->mutable_names()->Add(options_.names.begin(), options_.names.end());
  serve->set_max_concurrent(is_closing_ ? 0 : options_.calls_max);
  for (const auto& [key, answer] : answers_) {
    bridge::v1::Held& held = *serve->add_held();
    held.set_call_id(key.first);
    held.set_attempt(key.second);
  }
}

void WorkerClient::FillUpdates(const Session& session, PublishRequest* request) {
  int events = 0;
  size_t bytes = 0;
  // A large event has a request of its own.
  const auto fits = [&](const Event* event) {
    return events == 0 || (events < kRequestEventsMax && bytes + event->ByteSizeLong() <= kRequestBytesMax);
  };
  for (const auto& [key, answer] : answers_) {
    Answer& each = *answer;
    const CallEnd* const end_due = each.EndDue();
    const Event* event = each.NextEvent();
    if (each.session_ != session.number || (event == nullptr ? end_due == nullptr : !fits(event))) continue;
    if (bytes >= kRequestBytesMax) return;
    CallUpdate& update = *request->add_call_updates();
    update.set_call_id(key.first);
    update.set_attempt(key.second);
    update.set_first_index(each.sent_);
    for (; event != nullptr && fits(event); event = each.NextEvent()) {
      bytes += event->ByteSizeLong();
      ++events;
      *update.add_events() = *event;
      ++each.sent_;
    }
    if (end_due == nullptr || event != nullptr) continue;
    CallEnd& end = *update.mutable_end();
    end = *end_due;
    if (const auto& refusal = each.refusal_; refusal.has_value()) {
      end.set_code(refusal->code());
      end.set_message(Shortened(refusal->message()));
    }
    bytes += end.ByteSizeLong();
    each.end_request_ = session.next_request;
  }
}

// --- What comes.

void WorkerClient::TakeResponse(Session* session, const PublishResponse& response) {
  session->is_serving = session->is_serving || response.has_serving();
  session->is_draining = session->is_draining || response.draining();
  for (const CallCancel& cancel : response.cancels()) TakeCancel(cancel);
  for (const CallAck& ack : response.call_acks()) TakeCallAck(session, ack);
  for (const Ack& ack : response.acks()) {
    std::erase_if(answers_, [&](const auto& each) {
      const Answer& answer = *each.second;
      return answer.session_ == session->number && answer.end_request_ != 0 &&
             absl::StrCat(answer.end_request_) == ack.request_id();
    });
  }
  if (session->is_half_closed) return;  // the bridge takes back what it gives now
  for (const Call& call : response.calls()) TakeCall(*session, call);
}

void WorkerClient::TakeCall(const Session& session, const Call& call) {
  const auto [it, is_new] = answers_.try_emplace({call.call_id(), call.attempt()});
  if (!is_new) return;
  it->second = std::make_shared<Answer>(this, call);
  it->second->session_ = session.number;
  it->second->is_cancelled_ = is_abandoned_;
  ++handlers_;
  it->second->thread_ = std::thread([this, answer = it->second] { Handle(answer); });
}

void WorkerClient::Handle(const std::shared_ptr<Answer>& answer) {
  CallEnd end = Sendable(handler_(*answer));
  {
    const absl::MutexLock lock(&mutex_);
    answer->end_ = std::move(end);
  }
  PumpAll();
  const absl::MutexLock lock(&mutex_);
  finished_.push_back(std::move(answer->thread_));
  --handlers_;
}

void WorkerClient::TakeCancel(const CallCancel& cancel) {
  const auto it = answers_.find({cancel.call_id(), cancel.attempt()});
  if (it == answers_.end()) return;
  it->second->is_cancelled_ = true;
  if (cancel.reason() == CallCancel::LOST) answers_.erase(it);
}

void WorkerClient::TakeCallAck(Session* session, const CallAck& ack) {
  const auto it = answers_.find({ack.call_id(), ack.attempt()});
  if (it == answers_.end()) return;
  Answer& answer = *it->second;
  if (answer.session_ > session->number) return;  // the call has left this stream
  if (ack.code() == grpc::StatusCode::ABORTED || ack.code() == grpc::StatusCode::NOT_FOUND) {
    if (session != sessions_.back().get()) return;  // it is moving to the newest stream, which tells what becomes of it
    answer.is_cancelled_ = true;
    answers_.erase(it);
    return;
  }
  for (; answer.acked_ < ack.next_index() && !answer.events_.empty(); ++answer.acked_) answer.events_.pop_front();
  answer.sent_ = std::max(answer.sent_, answer.acked_);
  if (answer.session_ < session->number) {
    // The call has come to this stream: what the log does not have is sent here.
    answer.session_ = session->number;
    answer.Rewind();
  }
  if (ack.code() == grpc::StatusCode::UNAVAILABLE || ack.code() == grpc::StatusCode::OUT_OF_RANGE) {
    session->Cancel();  // what has no ack is sent again on the next stream, after a pause
  } else if (ack.code() == grpc::StatusCode::RESOURCE_EXHAUSTED && !answer.is_cancelled_) {
    // One request was too much work. An answer that is too large is told so again, until its cancel has come.
    answer.Rewind();
  } else if (ack.code() != grpc::StatusCode::OK) {
    // Its next event, or its end, is refused for good, and the bridge has dropped what stands behind it. In an end that
    // is refused once more, it is the usage that is not taken.
    if (answer.refusal_.has_value() && answer.events_.empty() && answer.end_.has_value()) answer.end_->clear_usage();
    answer.events_.clear();
    answer.Rewind();
    answer.refusal_ = ack;
    answer.is_cancelled_ = true;
  }
}

}  // namespace demo
