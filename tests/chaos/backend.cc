#include "tests/chaos/backend.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"

namespace bridge::chaos {
namespace {

constexpr size_t kBatchesInFlightMax = 64;
constexpr size_t kBatchEventsMax = 20;
constexpr size_t kPaddingMax = 100;

constexpr absl::Duration kPauseMin = absl::Milliseconds(10);
constexpr absl::Duration kPauseMax = absl::Milliseconds(500);

// A bridge that is gone, or going, or too slow.
bool IsExpected(const grpc::Status& status) {
  switch (status.error_code()) {
    case grpc::StatusCode::OK:
    case grpc::StatusCode::CANCELLED:
    case grpc::StatusCode::DEADLINE_EXCEEDED:
    case grpc::StatusCode::UNAVAILABLE:
      return true;
    default:
      return false;
  }
}

}  // namespace

Backend::Backend(Options options, Ledger* ledger)
    : options_(std::move(options)),
      ledger_(ledger),
      event_random_(options_.seed),
      stream_random_(~options_.seed),
      thread_([this] { Run(); }) {}

Backend::~Backend() {
  {
    const absl::MutexLock lock(&mutex_);
    is_ending_ = true;
    if (context_ != nullptr) {
      context_->TryCancel();
    }
  }
  thread_.join();
}

void Backend::Allow(size_t events) {
  const absl::MutexLock lock(&mutex_);
  allowed_ += events;
}

void Backend::Suffer(Cut cut) {
  const absl::MutexLock lock(&mutex_);
  if (cut == Cut::kAnswer) {
    loses_answer_ = true;
    return;
  }
  is_dying_ = is_dying_ || cut == Cut::kProcess;
  if (context_ != nullptr) {
    context_->TryCancel();
  }
}

bool Backend::IsDone() const {
  const absl::MutexLock lock(&mutex_);
  return allowed_ == 0 && unacked_.empty();
}

size_t Backend::streams() const {
  const absl::MutexLock lock(&mutex_);
  return streams_;
}

void Backend::Run() {
  absl::Duration pause = kPauseMin;
  while (true) {
    pause = RunStream() ? kPauseMin : std::min(2 * pause, kPauseMax);
    const absl::MutexLock lock(&mutex_);
    if (is_dying_) {
      Die();
    }
    if (mutex_.AwaitWithTimeout(absl::Condition(&is_ending_), pause)) {
      return;
    }
  }
}

bool Backend::RunStream() {
  const std::string& target = options_.targets[stream_random_() % options_.targets.size()];
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const auto stub =
      v1::Publisher::NewStub(grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments));
  grpc::ClientContext context;
  // Not for ever where the bridge, or what is behind it, stands still.
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(1 << stream_random_() % 6));
  {
    const absl::MutexLock lock(&mutex_);
    context_ = &context;
    sent_ = 0;
    ++streams_;
    has_acks_ = false;
    loses_answer_ = false;
    is_draining_ = false;
  }
  const auto call = stub->Publish(&context);
  Converse(*call);
  context.TryCancel();
  v1::PublishResponse response;
  while (call->Read(&response)) {
  }
  const grpc::Status status = call->Finish();
  if (!IsExpected(status)) {
    ledger_->NoteViolation(absl::StrCat("a Publish stream ended with ", static_cast<int>(status.error_code()), ": ",
                                        status.error_message()));
  }
  const absl::MutexLock lock(&mutex_);
  context_ = nullptr;
  return has_acks_;
}

void Backend::Converse(Call& call) {
  bool is_half_closed = false;
  while (true) {
    const Next next = AwaitNext();
    if (next == Next::kLeave) {
      return;
    }
    if (next == Next::kSend) {
      std::shared_ptr<Batch> batch;
      {
        const absl::MutexLock lock(&mutex_);
        batch = unacked_[sent_++];
      }
      if (!call.Write(batch->request)) {
        return;
      }
      continue;
    }
    v1::PublishResponse response;
    if (!call.Read(&response) || LosesAnswer()) {
      return;
    }
    for (const v1::Ack& ack : response.acks()) {
      if (!TakeAck(ack)) {
        return;
      }
    }
    if (response.draining() && !is_half_closed) {
      is_half_closed = true;
      call.WritesDone();
      const absl::MutexLock lock(&mutex_);
      is_draining_ = true;
    }
  }
}

Backend::Next Backend::AwaitNext() {
  const absl::MutexLock lock(&mutex_);
  const auto has_next = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return is_ending_ || is_dying_ || is_draining_ || allowed_ > 0 || !unacked_.empty();
  };
  mutex_.Await(absl::Condition(&has_next));
  if (is_ending_ || is_dying_) {
    return Next::kLeave;
  }
  if (!is_draining_ && sent_ == unacked_.size() && unacked_.size() < kBatchesInFlightMax && allowed_ > 0) {
    MakeBatch();
  }
  return !is_draining_ && sent_ < unacked_.size() ? Next::kSend : Next::kRead;
}

void Backend::MakeBatch() {
  const size_t count = std::min(allowed_, 1 + event_random_() % kBatchEventsMax);
  const auto batch = std::make_shared<Batch>();
  for (size_t i = 0; i < count; ++i) {
    const size_t topic = event_random_() % options_.topics.size();
    const EventName name = {.publisher = publisher(), .number = ledger_->NotePublished(publisher(), topic)};
    if (i == 0) {
      batch->begin = name.number;
      batch->request.set_request_id(absl::StrCat(name.number));
    }
    v1::Event& event = *batch->request.add_events();
    event.set_topic(options_.topics[topic]);
    event.set_text(absl::StrCat(DataOf(name), " ", std::string(event_random_() % kPaddingMax, 'x')));
    if (options_.has_keys) {
      event.set_idempotency_key(DataOf(name));
    }
  }
  allowed_ -= count;
  unacked_.push_back(batch);
}

bool Backend::LosesAnswer() const {
  const absl::MutexLock lock(&mutex_);
  return loses_answer_;
}

bool Backend::TakeAck(const v1::Ack& ack) {
  const absl::MutexLock lock(&mutex_);
  if (sent_ == 0 || ack.request_id() != unacked_.front()->request.request_id()) {
    ledger_->NoteViolation(
        absl::StrCat("publisher ", publisher(), " got an ack out of turn: ", ack.ShortDebugString()));
    return false;
  }
  for (const v1::Rejection& rejection : ack.rejected()) {
    if (rejection.code() != grpc::StatusCode::UNAVAILABLE && !rejection.has_retry_after()) {
      ledger_->NoteViolation(absl::StrCat("an event was rejected: ", rejection.ShortDebugString()));
    }
  }
  if (ack.rejected_size() > 0) {
    return false;
  }
  const Batch& batch = *unacked_.front();
  ledger_->NoteAcked({.publisher = publisher(),
                      .begin = batch.begin,
                      .end = batch.begin + static_cast<size_t>(batch.request.events_size()),
                      .first_id = ack.first_id(),
                      .last_id = ack.last_id()});
  unacked_.pop_front();
  --sent_;
  has_acks_ = true;
  return true;
}

void Backend::Die() {
  is_dying_ = false;
  ++lives_;
  unacked_.clear();
}

}  // namespace bridge::chaos
