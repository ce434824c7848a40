#include "tests/chaos/call_worker.h"

#include <algorithm>
#include <chrono>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace bridge::chaos {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(10);
constexpr absl::Duration kReopenMax = absl::Milliseconds(300);
// A bridge that owes an answer for so long stands still: another one is to serve.
constexpr absl::Duration kPatience = absl::Seconds(4);
// What may be on its way of one answer.
constexpr uint64_t kUnackedMax = 60;
constexpr uint64_t kRequestEventsMax = 400;
constexpr uint64_t kPaddingMax = 60;

}  // namespace

CallWorker::CallWorker(const Options& options, CallsLedger* ledger)
    : options_(options), ledger_(ledger), random_(options.seed), target_(options.index), thread_([this] { Run(); }) {}

CallWorker::~CallWorker() {
  {
    const absl::MutexLock lock(&mutex_);
    is_ending_ = true;
    if (current_ != nullptr) {
      current_->context.TryCancel();
    }
  }
  thread_.join();
}

void CallWorker::Suffer(Cut cut) {
  const absl::MutexLock lock(&mutex_);
  is_dying_ = is_dying_ || cut == Cut::kProcess;
  if (current_ != nullptr) {
    current_->context.TryCancel();
  }
}

size_t CallWorker::held() const {
  const absl::MutexLock lock(&mutex_);
  return held_.size();
}

size_t CallWorker::streams() const {
  const absl::MutexLock lock(&mutex_);
  return stream_count_;
}

std::string CallWorker::id() const { return absl::StrCat("w", options_.index, ".", lives_); }

absl::Duration CallWorker::Pause() {
  return absl::Milliseconds(
      static_cast<int64_t>(random_() % static_cast<uint64_t>(absl::ToInt64Milliseconds(options_.pause_max) + 1)));
}

// --- Sending.

void CallWorker::Run() {
  while (Turn()) {
    absl::SleepFor(kTick);
  }
  for (Stream& stream : streams_) {
    stream.context.TryCancel();
    stream.reader.join();
  }
}

bool CallWorker::Turn() {
  JoinOver();
  bool is_to_open = false;
  {
    const absl::MutexLock lock(&mutex_);
    if (is_ending_) {
      return false;
    }
    if (is_dying_) {
      Die();
    }
    is_to_open = current_ == nullptr && absl::Now() >= opens_at_;
  }
  if (is_to_open) {
    Open();
  }
  while (true) {
    Stream* stream = nullptr;
    std::optional<v1::PublishRequest> request;
    bool leaves = false;
    {
      const absl::MutexLock lock(&mutex_);
      stream = current_;
      if (stream == nullptr || is_dying_) {
        return true;
      }
      if (stream->waits_since.has_value() && absl::Now() - *stream->waits_since > kPatience) {
        stream->context.TryCancel();
        return true;
      }
      if (stream->is_draining) {
        // It is read to its end; what is held goes on with the next one.
        target_ = stream->target + 1;
        opens_at_ = absl::Now();
        current_ = nullptr;
      } else {
        request = MakeRequest(absl::Now());
      }
      leaves = stream->is_draining;
    }
    if (leaves) {
      stream->call->WritesDone();
      return true;
    }
    if (!request.has_value()) {
      return true;
    }
    // It ends with the stream, which has a deadline.
    stream->call->Write(*request);
  }
}

void CallWorker::Open() {
  Stream& stream = streams_.emplace_back();
  {
    const absl::MutexLock lock(&mutex_);
    stream.number = ++stream_count_;
    stream.life = lives_;
    stream.target = target_ % options_.targets.size();
    // Not for ever where the bridge, or what is behind it, stands still.
    stream.context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(4 << random_() % 5));
  }
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  stream.stub = v1::Publisher::NewStub(
      grpc::CreateCustomChannel(options_.targets[stream.target], grpc::InsecureChannelCredentials(), arguments));
  stream.call = stream.stub->Publish(&stream.context);
  {
    const absl::MutexLock lock(&mutex_);
    for (auto& [key, held] : held_) {
      held.is_known = false;
      held.end_request = 0;
    }
    current_ = &stream;
  }
  stream.reader = std::thread([this, &stream] { Read(stream); });
}

void CallWorker::JoinOver() {
  for (auto it = streams_.begin(); it != streams_.end();) {
    bool is_over = false;
    {
      const absl::MutexLock lock(&mutex_);
      is_over = it->is_over;
    }
    if (is_over) {
      it->reader.join();
      it = streams_.erase(it);
      continue;
    }
    ++it;
  }
}

bool CallWorker::IsOwed() const {
  return std::any_of(held_.begin(), held_.end(), [](const auto& each) {
    return !each.second.is_known || each.second.sent > each.second.acked || each.second.end_request != 0;
  });
}

std::optional<v1::PublishRequest> CallWorker::MakeRequest(absl::Time now) {
  v1::PublishRequest request;
  if (current_->needs_serve) {
    current_->needs_serve = false;
    v1::Serve& serve = *request.mutable_serve();
    serve.set_worker_id(id());
    serve.add_names(options_.name);
    serve.set_max_concurrent(options_.concurrent_max);
    for (const auto& [key, held] : held_) {
      v1::Held& one = *serve.add_held();
      one.set_call_id(key.first);
      one.set_attempt(key.second);
    }
  }
  request.set_request_id(absl::StrCat(++requests_));
  for (auto& [key, held] : held_) {
    if (held.is_known && held.end_request == 0 && held.next_at <= now &&
        static_cast<uint64_t>(request.call_updates_size()) * options_.tokens_at_once_max < kRequestEventsMax) {
      AddUpdate(key, &held, now, &request);
    }
  }
  if (!request.has_serve() && request.call_updates_size() == 0) {
    return std::nullopt;
  }
  if (!current_->waits_since.has_value() && (IsOwed() || request.has_serve())) {
    current_->waits_since = now;
  }
  return request;
}

void CallWorker::AddUpdate(const Key& key, Held* held, absl::Time now, v1::PublishRequest* request) {
  if (held->sent < held->tokens && held->sent - held->acked > kUnackedMax) {
    return;
  }
  held->next_at = now + Pause();
  v1::CallUpdate& update = *request->add_call_updates();
  update.set_call_id(key.first);
  update.set_attempt(key.second);
  update.set_first_index(held->sent);
  const uint64_t count = std::min(held->tokens - held->sent, 1 + random_() % options_.tokens_at_once_max);
  for (uint64_t i = 0; i < count; ++i) {
    update.add_events()->set_text(absl::StrCat(DataOf({.worker = id(), .attempt = key.second, .index = held->sent++}),
                                               " ", std::string(random_() % kPaddingMax, 'x')));
  }
  if (held->sent == held->tokens) {
    if (held->code == 0) {
      ledger_->NoteComplete(key.first, key.second, held->tokens);
    }
    update.mutable_end()->set_code(held->code);
    held->end_request = requests_;
  }
}

// --- Reading.

void CallWorker::Read(Stream& stream) {
  v1::PublishResponse response;
  while (stream.call->Read(&response)) {
    const absl::MutexLock lock(&mutex_);
    if (!is_dying_ && stream.life == lives_) {
      Take(stream, response);
    }
  }
  const grpc::Status status = stream.call->Finish();
  const absl::MutexLock lock(&mutex_);
  NoteEnd(stream, status);
}

void CallWorker::Take(Stream& stream, const v1::PublishResponse& response) {
  for (const v1::Rejection& rejection : response.serving().rejected()) {
    ledger_->NoteViolation(absl::StrCat(id(), " may not serve: ", rejection.ShortDebugString()));
  }
  for (const v1::CallCancel& cancel : response.cancels()) {
    TakeCancel(cancel);
  }
  for (const v1::Call& call : response.calls()) {
    TakeCall(stream, call);
  }
  for (const v1::CallAck& ack : response.call_acks()) {
    TakeAck(ack);
  }
  for (const v1::Ack& ack : response.acks()) {
    TakeRequestAck(ack);
  }
  stream.is_draining = stream.is_draining || response.draining();
  stream.waits_since = IsOwed() ? std::optional(absl::Now()) : std::nullopt;
}

void CallWorker::TakeCall(Stream& stream, const v1::Call& call) {
  ledger_->NoteGiven(call.call_id(), call.attempt(), id());
  held_[{call.call_id(), call.attempt()}] = {.tokens = options_.tokens, .next_at = absl::Now() + Pause()};
  if (&stream != current_ && current_ != nullptr) {
    // The newer stream's bridge does not know that it is held.
    held_[{call.call_id(), call.attempt()}].is_known = false;
    current_->needs_serve = true;
  }
}

void CallWorker::TakeCancel(const v1::CallCancel& cancel) {
  const Key key = {cancel.call_id(), cancel.attempt()};
  const auto found = held_.find(key);
  if (found == held_.end()) {
    return;
  }
  if (cancel.reason() == v1::CallCancel::LOST) {
    Drop(key);
    return;
  }
  // It ends where it is.
  Held& held = found->second;
  ledger_->NoteStopped(key.first, key.second, absl::Now());
  held.is_known = true;
  held.tokens = held.sent;
  held.code = grpc::StatusCode::CANCELLED;
  held.next_at = absl::InfinitePast();
}

void CallWorker::TakeAck(const v1::CallAck& ack) {
  const Key key = {ack.call_id(), ack.attempt()};
  const auto found = held_.find(key);
  if (found == held_.end()) {
    return;
  }
  Held& held = found->second;
  switch (ack.code()) {
    case grpc::StatusCode::OK:
      if (!held.is_known) {
        held.is_known = true;
        held.acked = ack.next_index();
        held.sent = ack.next_index();
      }
      held.acked = std::max(held.acked, ack.next_index());
      return;
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::OUT_OF_RANGE:
      held.sent = ack.next_index();
      held.acked = ack.next_index();
      held.end_request = 0;
      held.next_at = absl::Now() + Pause();
      return;
    case grpc::StatusCode::ABORTED:
    case grpc::StatusCode::NOT_FOUND:
      Drop(key);
      return;
    default:
      ledger_->NoteViolation(absl::StrCat(id(), " was told: ", ack.ShortDebugString()));
  }
}

void CallWorker::TakeRequestAck(const v1::Ack& ack) {
  uint64_t number = 0;
  if (!absl::SimpleAtoi(ack.request_id(), &number)) {
    return;
  }
  std::vector<Key> ended;
  for (const auto& [key, held] : held_) {
    if (held.end_request == number && number != 0) {
      ended.push_back(key);
    }
  }
  for (const Key& key : ended) {
    Drop(key);
  }
}

void CallWorker::NoteEnd(Stream& stream, const grpc::Status& status) {
  const bool is_newest = stream.number == stream_count_ && stream.life == lives_;
  switch (status.error_code()) {
    case grpc::StatusCode::OK:
    case grpc::StatusCode::CANCELLED:
    case grpc::StatusCode::DEADLINE_EXCEEDED:
    case grpc::StatusCode::UNAVAILABLE:
      break;
    case grpc::StatusCode::ABORTED:
      if (!is_newest) {
        break;
      }
      [[fallthrough]];
    default:
      ledger_->NoteViolation(absl::StrCat("the newest stream of ", id(), " ended with ",
                                          static_cast<int>(status.error_code()), ": ", status.error_message()));
  }
  stream.is_over = true;
  if (current_ == &stream) {
    current_ = nullptr;
    target_ = stream.target + 1;
    opens_at_ = absl::Now() + kReopenMax * absl::ToDoubleMilliseconds(Pause()) /
                                  std::max(1.0, absl::ToDoubleMilliseconds(options_.pause_max));
  }
}

void CallWorker::Drop(const Key& key) {
  ledger_->NoteStopped(key.first, key.second, absl::Now());
  held_.erase(key);
}

void CallWorker::Die() {
  is_dying_ = false;
  ledger_->NoteDead(id(), absl::Now());
  held_.clear();
  ++lives_;
  for (Stream& stream : streams_) {
    stream.context.TryCancel();
  }
  current_ = nullptr;
}

}  // namespace bridge::chaos
