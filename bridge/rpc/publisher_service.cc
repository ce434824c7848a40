#include "bridge/rpc/publisher_service.h"

#include <utility>

namespace bridge::rpc {
namespace {

void Serialize(const v1::Ack& ack, grpc::ByteBuffer* buffer) {
  bool own_buffer = true;
  grpc::SerializationTraits<v1::Ack>::Serialize(ack, buffer, &own_buffer);
}

}  // namespace

PublisherService::PublisherService(const Options& options, const payload::Transcoder* transcoder, log::EventLog* log)
    : stream_limits_(options.stream),
      log_(log),
      intake_(options.intake, transcoder),
      budget_(options.bytes_in_flight_max_total, &metrics_.bytes_in_flight) {}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* PublisherService::Publish(
    grpc::CallbackServerContext* /*context*/) {
  const auto forget = [this](PublishStream* stream) {
    absl::MutexLock lock(&mutex_);
    streams_.erase(stream);
  };
  const auto stream = PublishStream::Create({.intake = &intake_, .log = log_, .budget = &budget_, .metrics = &metrics_},
                                            stream_limits_, forget);
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
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  metrics_.requests.Add(1);
  const uint64_t bytes = request->Length();
  auto batch = intake_.Take(*request, /*publisher=*/"");
  if (!batch.ok()) {
    reactor->Finish(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, std::string(batch.status().message())));
    return reactor;
  }
  if (batch->records.empty()) {
    NoteAppended(batch->ack, {}, std::vector<log::Appended>(), &metrics_);
    Serialize(batch->ack, response);
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  if (!budget_.HasRoom()) {
    reactor->Finish(
        grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED,
                     "too much is waiting for its ack (grpc.max_bytes_in_flight_total); send it again later"));
    return reactor;
  }
  budget_.Add(bytes);
  log_->Append(std::move(batch->records), [this, reactor, response, bytes, ack = std::move(batch->ack),
                                           indexes = std::move(batch->indexes)](
                                              const absl::StatusOr<std::vector<log::Appended>>& appended) mutable {
    budget_.Release(bytes);
    const v1::Ack complete = Intake::Complete(std::move(ack), indexes, appended);
    NoteAppended(complete, indexes, appended, &metrics_);
    Serialize(complete, response);
    reactor->Finish(appended.ok()
                        ? grpc::Status::OK
                        : grpc::Status(grpc::StatusCode::UNAVAILABLE, std::string(appended.status().message())));
  });
  return reactor;
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

std::vector<std::shared_ptr<PublishStream>> PublisherService::OpenStreams() {
  std::vector<std::shared_ptr<PublishStream>> open;
  absl::MutexLock lock(&mutex_);
  for (const auto& [unused, weak] : streams_) {
    if (auto stream = weak.lock()) {
      open.push_back(std::move(stream));
    }
  }
  return open;
}

}  // namespace bridge::rpc
