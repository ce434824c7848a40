#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "bridge/v1/publisher.grpc.pb.h"

namespace bridge::test {

v1::Event TextEvent(const std::string& topic, const std::string& text, const std::string& type = "");

// A backend: calls PublishOnce, or holds a Publish stream.
class Publisher {
 public:
  // gRPC shares a connection between channels of one target; after a restart of the bridge that one may not have
  // noticed yet.
  enum class Channel { kShared, kOwn };
  explicit Publisher(const std::string& target, Channel channel = Channel::kShared);
  // With a connection of its own over TLS, or without.
  Publisher(const std::string& target, const std::shared_ptr<grpc::ChannelCredentials>& credentials);

  // Sent with each call from now on; "" for none.
  void SetToken(const std::string& token) { authorization_ = token.empty() ? "" : "Bearer " + token; }
  // The same as it stands in the metadata.
  void SetAuthorization(const std::string& value) { authorization_ = value; }

  // Aborts the test program where the call fails.
  v1::Ack Publish(const std::vector<v1::Event>& events);
  v1::Ack Publish(const v1::Event& event) { return Publish(std::vector<v1::Event>{event}); }
  grpc::Status TryPublish(const v1::PublishRequest& request, v1::Ack* ack);

  std::unique_ptr<grpc::ClientReaderWriter<v1::PublishRequest, v1::PublishResponse>> Open(grpc::ClientContext* context);
  v1::Publisher::Stub& stub() { return *stub_; }

 private:
  void AddMetadata(grpc::ClientContext* context) const;

  std::unique_ptr<v1::Publisher::Stub> stub_;
  std::string authorization_;
};

// A bidirectional Publish stream, used from one thread; is_draining and HalfClose also from another one.
class PublishCall {
 public:
  explicit PublishCall(Publisher* publisher) : stream_(publisher->Open(&context_)) {}

  bool Send(const v1::PublishRequest& request) { return stream_->Write(request); }
  bool Send(const std::string& request_id, const std::vector<v1::Event>& events);
  // The next ack; responses without one (draining) are noted.
  std::optional<v1::Ack> NextAck();
  void HalfClose() { stream_->WritesDone(); }
  // Reads what is left and returns the stream's status.
  grpc::Status Finish();
  void Cancel() { context_.TryCancel(); }
  bool is_draining() const { return is_draining_; }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::PublishRequest, v1::PublishResponse>> stream_;
  std::vector<v1::Ack> acks_;
  std::atomic<bool> is_draining_{false};
};

}  // namespace bridge::test
