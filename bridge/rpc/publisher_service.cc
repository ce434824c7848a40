#include "bridge/rpc/publisher_service.h"

#include <utility>

namespace bridge::rpc {
namespace {

// Those of `map` that are not about to end.
template <typename T>
std::vector<std::shared_ptr<T>> Living(const absl::flat_hash_map<T*, std::weak_ptr<T>>& map) {
  std::vector<std::shared_ptr<T>> living;
  for (const auto& [unused, weak] : map) {
    if (auto one = weak.lock()) {
      living.push_back(std::move(one));
    }
  }
  return living;
}

}  // namespace

PublisherService::PublisherService(const Options& options, const payload::Transcoder* transcoder, log::EventLog* log)
    : stream_limits_(options.stream),
      log_(log),
      intake_(options.intake, transcoder),
      budget_(options.bytes_in_flight_max_total, &metrics_.request_bytes, &metrics_.ack_bytes) {}

PublishParts PublisherService::Parts() {
  return {.intake = &intake_, .log = log_, .budget = &budget_, .metrics = &metrics_};
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* PublisherService::Publish(
    grpc::CallbackServerContext* context) {
  const auto forget = [this](PublishStream* stream) {
    absl::MutexLock lock(&mutex_);
    streams_.erase(stream);
  };
  const auto stream = PublishStream::Create(Parts(), stream_limits_, context, forget);
  bool is_draining = false;
  {
    absl::MutexLock lock(&mutex_);
    streams_.emplace(stream.get(), stream);
    is_draining = is_draining_;
  }
  stream->Begin();
  if (is_draining) {
    stream->TellDraining();
  }
  return stream.get();
}

grpc::ServerUnaryReactor* PublisherService::PublishOnce(grpc::CallbackServerContext* context,
                                                        const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  const auto forget = [this](PublishOnceCall* call) {
    const absl::MutexLock lock(&mutex_);
    calls_.erase(call);
  };
  const auto call =
      PublishOnceCall::Create(Parts(), {.context = context, .request = request, .response = response}, forget);
  {
    const absl::MutexLock lock(&mutex_);
    calls_.emplace(call.get(), call);
  }
  call->Begin();
  return call.get();
}

void PublisherService::Check() {
  const base::MonotonicTime now = base::MonotonicClock::now();
  for (const auto& stream : OpenStreams()) {
    stream->Check(now);
  }
  std::vector<std::shared_ptr<PublishOnceCall>> calls;
  {
    const absl::MutexLock lock(&mutex_);
    calls = Living(calls_);
  }
  for (const auto& call : calls) {
    call->Check(now, stream_limits_.send_timeout);
  }
}

void PublisherService::BeginDrain() {
  {
    absl::MutexLock lock(&mutex_);
    is_draining_ = true;
  }
  for (const auto& stream : OpenStreams()) {
    stream->TellDraining();
  }
}

void PublisherService::EndStreams() {
  for (const auto& stream : OpenStreams()) {
    stream->End("the bridge stops; connect again and send what was not acked");
  }
}

void PublisherService::BlockUntilIdle(absl::Time deadline) {
  const auto is_idle = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return streams_.empty() && calls_.empty(); };
  const absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithDeadline(absl::Condition(&is_idle), deadline);
}

std::vector<std::shared_ptr<PublishStream>> PublisherService::OpenStreams() {
  const absl::MutexLock lock(&mutex_);
  return Living(streams_);
}

}  // namespace bridge::rpc
