// The ceiling of ingest: a gRPC server with the bridge's Publish method and nothing behind it.
//
//   --reply echo   sends each message back as the bytes that came
//   --reply ack    parses each message and answers with acks, as many in a response as have come while the last was
//   being written
//
// Ends with standard input.
#include <chrono>
#include <iostream>
#include <map>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>
#include <bridge/v1/publisher.grpc.pb.h>
#include <grpcpp/grpcpp.h>

#include "tests/bench/report.h"

namespace bridge::bench {
namespace {

enum class Reply { kEcho, kAck };

// Reads the next message when the last has been sent back. Deletes itself.
class EchoReactor final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  EchoReactor() { StartRead(&message_); }
  void OnReadDone(bool ok) override { ok ? StartWrite(&message_) : Finish(grpc::Status::OK); }
  void OnWriteDone(bool ok) override {
    if (ok) StartRead(&message_);
  }
  void OnDone() override { delete this; }

 private:
  grpc::ByteBuffer message_;
};

// Reads on while it writes. Deletes itself.
class AckReactor final : public grpc::ServerBidiReactor<v1::PublishRequest, v1::PublishResponse> {
 public:
  AckReactor() { StartRead(&request_); }

  void OnReadDone(bool ok) override {
    if (ok) {
      Ack();
      StartRead(&request_);
      return;
    }
    const absl::MutexLock lock(&mutex_);
    is_half_closed_ = true;
    if (!is_writing_) Finish(grpc::Status::OK);
  }

  void OnWriteDone(bool ok) override {
    const absl::MutexLock lock(&mutex_);
    is_writing_ = false;
    if (ok) Write();
    if (is_half_closed_ && !is_writing_) Finish(grpc::Status::OK);
  }

  void OnDone() override { delete this; }

 private:
  void Ack() {
    const absl::MutexLock lock(&mutex_);
    v1::Ack& ack = *waiting_.add_acks();
    ack.set_request_id(request_.request_id());
    ack.set_first_id("19a0c3f5b7e1d2a4-1000000");
    ack.set_last_id("19a0c3f5b7e1d2a4-1000099");
    if (!is_writing_) Write();
  }

  void Write() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (waiting_.acks_size() == 0) return;
    is_writing_ = true;
    writing_.Swap(&waiting_);
    waiting_.Clear();
    StartWrite(&writing_);
  }

  v1::PublishRequest request_;   // owned by the read that is under way
  v1::PublishResponse writing_;  // owned by the write that is under way
  absl::Mutex mutex_;
  v1::PublishResponse waiting_ ABSL_GUARDED_BY(mutex_);
  bool is_writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_half_closed_ ABSL_GUARDED_BY(mutex_) = false;
};

class EchoService final : public v1::Publisher::WithRawCallbackMethod_Publish<v1::Publisher::Service> {
 public:
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Publish(
      grpc::CallbackServerContext* /*context*/) override {
    return new EchoReactor;
  }
};

class AckService final : public v1::Publisher::WithCallbackMethod_Publish<v1::Publisher::Service> {
 public:
  grpc::ServerBidiReactor<v1::PublishRequest, v1::PublishResponse>* Publish(
      grpc::CallbackServerContext* /*context*/) override {
    return new AckReactor;
  }
};

int Main(int argc, char** argv) {
  Reply reply = Reply::kEcho;
  CLI::App app("A gRPC server with the bridge's Publish method and nothing behind it.");
  app.add_option("--reply", reply, "echo or ack")
      ->transform(CLI::CheckedTransformer(std::map<std::string, Reply>{{"echo", Reply::kEcho}, {"ack", Reply::kAck}}));
  CLI11_PARSE(app, argc, argv);

  EchoService echo;
  AckService ack;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(reply == Reply::kEcho ? static_cast<grpc::Service*>(&echo) : &ack);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) Fail("the gRPC server does not start");
  std::cerr << "listening grpc=127.0.0.1:" << port << '\n';
  std::string line;
  while (std::getline(std::cin, line)) {
  }
  server->Shutdown(std::chrono::system_clock::now());
  return 0;
}

}  // namespace
}  // namespace bridge::bench

int main(int argc, char** argv) { return bridge::bench::Main(argc, argv); }
