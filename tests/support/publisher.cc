#include "tests/support/publisher.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace bridge::test {

v1::Event TextEvent(const std::string& topic, const std::string& text, const std::string& type) {
  v1::Event event;
  event.set_topic(topic);
  event.set_text(text);
  event.set_type(type);
  return event;
}

Publisher::Publisher(const std::string& target, Channel channel) {
  grpc::ChannelArguments arguments;
  if (channel == Channel::kOwn) {
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  }
  stub_ = v1::Publisher::NewStub(grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments));
}

Publisher::Publisher(const std::string& target, const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  stub_ = v1::Publisher::NewStub(grpc::CreateCustomChannel(target, credentials, arguments));
}

void Publisher::AddMetadata(grpc::ClientContext* context) const {
  if (!authorization_.empty()) {
    context->AddMetadata("authorization", authorization_);
  }
}

std::unique_ptr<grpc::ClientReaderWriter<v1::PublishRequest, v1::PublishResponse>> Publisher::Open(
    grpc::ClientContext* context) {
  AddMetadata(context);
  return stub_->Publish(context);
}

grpc::Status Publisher::TryPublish(const v1::PublishRequest& request, v1::Ack* ack) {
  grpc::ClientContext context;
  AddMetadata(&context);
  context.set_wait_for_ready(true);
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  return stub_->PublishOnce(&context, request, ack);
}

v1::Ack Publisher::Publish(const std::vector<v1::Event>& events) {
  v1::PublishRequest request;
  for (const v1::Event& event : events) {
    *request.add_events() = event;
  }
  v1::Ack ack;
  if (const grpc::Status status = TryPublish(request, &ack); !status.ok()) {
    std::fprintf(stderr, "PublishOnce failed: %s\n", status.error_message().c_str());
    std::abort();
  }
  return ack;
}

bool PublishCall::Send(const std::string& request_id, const std::vector<v1::Event>& events) {
  v1::PublishRequest request;
  request.set_request_id(request_id);
  for (const v1::Event& event : events) {
    *request.add_events() = event;
  }
  return Send(request);
}

std::optional<v1::Ack> PublishCall::NextAck() {
  while (acks_.empty()) {
    v1::PublishResponse response;
    if (!stream_->Read(&response)) {
      return std::nullopt;
    }
    is_draining_ = is_draining() || response.draining();
    acks_.insert(acks_.end(), response.acks().begin(), response.acks().end());
  }
  v1::Ack ack = acks_.front();
  acks_.erase(acks_.begin());
  return ack;
}

grpc::Status PublishCall::Finish() {
  v1::PublishResponse response;
  while (stream_->Read(&response)) {
    is_draining_ = is_draining() || response.draining();
  }
  return stream_->Finish();
}

}  // namespace bridge::test
