#include "tests/bench/call_worker.h"

#include <algorithm>
#include <optional>

#include <absl/strings/str_cat.h>
#include <absl/time/time.h>

#include "tests/bench/clock.h"
#include "tests/bench/payload.h"
#include "tests/bench/report.h"

namespace bridge::bench {
namespace {

constexpr absl::Duration kServeTimeout = absl::Seconds(10);
constexpr absl::Duration kDoneTimeout = absl::Seconds(30);
constexpr int64_t kLongestWaitNs = 20'000'000;
// Below grpc.max_events_per_request, and as many updates.
constexpr uint64_t kEventsPerRequest = 500;

}  // namespace

CallWorker::CallWorker(CallWorkerOptions options)
    : options_(std::move(options)),
      stub_(v1::Publisher::NewStub(grpc::CreateChannel(options_.target, grpc::InsecureChannelCredentials()))),
      payload_(MakePayload(options_.payload_bytes)) {}

void CallWorker::Start() {
  stub_->async()->Publish(&context_, this);
  StartRead(&response_);
  // Writes are started from other threads too, and later than any reaction: the hold says so.
  AddHold();
  StartCall();
  {
    const absl::MutexLock lock(&mutex_);
    v1::Serve& serve = *waiting_.emplace_back().mutable_serve();
    serve.set_worker_id("bench");
    serve.add_names(options_.name);
    serve.set_max_concurrent(options_.concurrent);
  }
  Pump();
  if (options_.tokens_per_second > 0) sender_ = std::thread([this] { Run(); });
  const absl::MutexLock lock(&mutex_);
  if (!mutex_.AwaitWithTimeout(absl::Condition(&is_serving_), kServeTimeout)) Fail("serve gets no answer");
}

void CallWorker::Run() {
  while (true) {
    {
      const absl::MutexLock lock(&mutex_);
      if (mutex_.AwaitWithTimeout(absl::Condition(&is_stopping_), absl::Nanoseconds(WaitNs()))) return;
      SendDue();
    }
    Pump();
  }
}

void CallWorker::Stop() {
  {
    const absl::MutexLock lock(&mutex_);
    is_stopping_ = true;
  }
  if (sender_.joinable()) sender_.join();
  context_.TryCancel();
  RemoveHold();
  const absl::MutexLock lock(&mutex_);
  if (!mutex_.AwaitWithTimeout(absl::Condition(&is_done_), kDoneTimeout)) Fail("the worker's stream does not end");
}

int64_t CallWorker::WaitNs() const {
  return due_.empty() ? kLongestWaitNs : std::clamp<int64_t>(due_.top().first - NowNs(), 0, kLongestWaitNs);
}

void CallWorker::SendDue() {
  const int64_t now_ns = NowNs();
  const auto period_ns = static_cast<int64_t>(1e9 / options_.tokens_per_second);
  while (!due_.empty() && due_.top().first <= now_ns) {
    auto [due_ns, id] = due_.top();
    due_.pop();
    Answer(id, 1);
    if (calls_.contains(id)) due_.emplace(due_ns + period_ns, std::move(id));
  }
}

v1::CallUpdate& CallWorker::AddUpdate(uint64_t events) {
  if (waiting_.empty() || events_in_last_ + events > kEventsPerRequest) {
    waiting_.emplace_back();
    events_in_last_ = 0;
  }
  events_in_last_ += std::max<uint64_t>(events, 1);
  return *waiting_.back().add_call_updates();
}

void CallWorker::Answer(const std::string& id, uint64_t tokens) {
  const auto found = calls_.find(id);
  if (found == calls_.end()) return;  // cancelled
  Call& call = found->second;
  v1::CallUpdate& update = AddUpdate(tokens);
  update.set_call_id(id);
  update.set_attempt(call.attempt);
  update.set_first_index(call.next_index);
  for (uint64_t i = 0; i < tokens; ++i) {
    WriteStamp({.sequence = ++call.next_index, .sent_ns = NowNs()}, payload_);
    update.add_events()->set_text(payload_);
  }
  counts_.tokens += tokens;
  if (call.next_index < options_.tokens || options_.is_held) return;
  update.mutable_end();
  ++counts_.ended;
  calls_.erase(found);
}

void CallWorker::Finish() {
  {
    const absl::MutexLock lock(&mutex_);
    for (const auto& [id, call] : calls_) {
      v1::CallUpdate& update = AddUpdate(0);
      update.set_call_id(id);
      update.set_attempt(call.attempt);
      update.set_first_index(call.next_index);
      update.mutable_end();
    }
    counts_.ended += calls_.size();
    calls_.clear();
  }
  Pump();
}

void CallWorker::TakeCall(const v1::Call& call) {
  ++counts_.received;
  if (const std::optional<Stamp> stamp = ReadStamp(call.body())) receipt_.Record(NowNs() - stamp->sent_ns);
  calls_[call.call_id()] = {.attempt = call.attempt()};
  if (options_.tokens_per_second > 0) {
    due_.emplace(NowNs(), call.call_id());
  } else {
    Answer(call.call_id(), options_.tokens);
  }
}

void CallWorker::OnReadDone(bool ok) {
  if (!ok) return;  // OnDone says why
  {
    const absl::MutexLock lock(&mutex_);
    is_serving_ = is_serving_ || response_.has_serving();
    for (const v1::Call& call : response_.calls()) TakeCall(call);
    for (const v1::CallCancel& cancel : response_.cancels()) counts_.cancelled += calls_.erase(cancel.call_id());
    for (const v1::CallAck& ack : response_.call_acks()) counts_.rejected += ack.code() != 0 ? 1U : 0U;
    if (options_.tokens_per_second > 0) SendDue();
  }
  StartRead(&response_);
  Pump();
}

void CallWorker::OnWriteDone(bool ok) {
  if (!ok) return;
  {
    const absl::MutexLock lock(&mutex_);
    is_writing_ = false;
  }
  Pump();
}

void CallWorker::OnDone(const grpc::Status& status) {
  const absl::MutexLock lock(&mutex_);
  if (!is_stopping_) Fail(absl::StrCat("the worker's stream ended: ", status.error_message()));
  is_done_ = true;
}

void CallWorker::Pump() {
  {
    const absl::MutexLock lock(&mutex_);
    if (is_writing_ || is_stopping_ || waiting_.empty()) return;
    is_writing_ = true;
    writing_ = std::move(waiting_.front());
    waiting_.pop_front();
  }
  StartWrite(&writing_);
}

void CallWorker::Reset() {
  const absl::MutexLock lock(&mutex_);
  counts_ = Counts();
  receipt_.Clear();
}

void CallWorker::PrintReport(std::string_view kind) {
  const absl::MutexLock lock(&mutex_);
  Report()
      .Set("kind", kind)
      .Set("received", static_cast<double>(counts_.received))
      .Set("tokens", static_cast<double>(counts_.tokens))
      .Set("ended", static_cast<double>(counts_.ended))
      .Set("rejected", static_cast<double>(counts_.rejected))
      .Set("cancelled", static_cast<double>(counts_.cancelled))
      .Set("p50_ms", receipt_.QuantileMs(0.5))
      .Set("p99_ms", receipt_.QuantileMs(0.99))
      .Set("max_ms", receipt_.MaxMs())
      .Print();
}

}  // namespace bridge::bench
