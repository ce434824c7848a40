#include "tests/support/worker.h"

namespace bridge::test {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(10);

v1::CallUpdate UpdateOf(const v1::Call& call, uint64_t first_index) {
  v1::CallUpdate update;
  update.set_call_id(call.call_id());
  update.set_attempt(call.attempt());
  update.set_first_index(first_index);
  return update;
}

template <typename Repeated, typename Message>
void MoveAll(const Repeated& from, std::deque<Message>& to) {
  to.insert(to.end(), from.begin(), from.end());
}

}  // namespace

WorkerCall::WorkerCall(Publisher* publisher) : stream_(publisher->Open(&context_)), reader_([this] { Read(); }) {}

WorkerCall::~WorkerCall() {
  if (!is_finished_) {
    Cancel();
    Finish();
  }
}

bool WorkerCall::Serve(const std::string& worker_id, const std::vector<std::string>& names, uint32_t max_concurrent,
                       const std::vector<Held>& held) {
  v1::PublishRequest request;
  v1::Serve& serve = *request.mutable_serve();
  serve.set_worker_id(worker_id);
  serve.mutable_names()->Assign(names.begin(), names.end());
  serve.set_max_concurrent(max_concurrent);
  for (const Held& each : held) {
    v1::Held& one = *serve.add_held();
    one.set_call_id(each.call_id);
    one.set_attempt(each.attempt);
  }
  return Send(request);
}

bool WorkerCall::Send(const v1::CallUpdate& update) {
  v1::PublishRequest request;
  *request.add_call_updates() = update;
  return Send(request);
}

bool WorkerCall::Answer(const v1::Call& call, uint64_t first_index, const std::vector<std::string>& texts) {
  v1::CallUpdate update = UpdateOf(call, first_index);
  for (const std::string& text : texts) {
    update.add_events()->set_text(text);
  }
  return Send(update);
}

bool WorkerCall::End(const v1::Call& call, uint64_t first_index, int32_t code, const std::string& message) {
  v1::CallUpdate update = UpdateOf(call, first_index);
  update.mutable_end()->set_code(code);
  update.mutable_end()->set_message(message);
  return Send(update);
}

std::optional<v1::CallAck> WorkerCall::AwaitCallAck(const std::string& call_id, uint64_t next_index) {
  while (std::optional<v1::CallAck> ack = NextCallAck()) {
    if (ack->call_id() == call_id && (ack->next_index() >= next_index || ack->code() != 0)) {
      return ack;
    }
  }
  return std::nullopt;
}

size_t WorkerCall::waiting_calls() const {
  const absl::MutexLock lock(&mutex_);
  return inbox_.calls.size();
}

bool WorkerCall::AwaitDraining() {
  const absl::MutexLock lock(&mutex_);
  return AwaitLocked([](const Inbox& inbox) { return inbox.is_draining; });
}

grpc::Status WorkerCall::Finish() {
  reader_.join();
  is_finished_ = true;
  return stream_->Finish();
}

void WorkerCall::Read() {
  v1::PublishResponse response;
  while (stream_->Read(&response)) {
    Take(response);
  }
  const absl::MutexLock lock(&mutex_);
  inbox_.is_over = true;
}

void WorkerCall::Take(const v1::PublishResponse& response) {
  const absl::MutexLock lock(&mutex_);
  if (response.has_serving()) {
    inbox_.servings.push_back(response.serving());
  }
  MoveAll(response.cancels(), inbox_.cancels);
  MoveAll(response.calls(), inbox_.calls);
  MoveAll(response.call_acks(), inbox_.call_acks);
  MoveAll(response.acks(), inbox_.acks);
  inbox_.is_draining = inbox_.is_draining || response.draining();
}

bool WorkerCall::AwaitLocked(absl::FunctionRef<bool(const Inbox&)> is_true) {
  const auto has_come = [this, is_true]()
                            ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return inbox_.is_over || is_true(inbox_); };
  mutex_.AwaitWithTimeout(absl::Condition(&has_come), kPatience);
  return is_true(inbox_);
}

}  // namespace bridge::test
