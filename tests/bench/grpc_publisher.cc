#include "tests/bench/grpc_publisher.h"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>

#include <absl/base/thread_annotations.h>
#include <absl/strings/str_cat.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/time.h>
#include <bridge/v1/publisher.grpc.pb.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include "tests/bench/clock.h"
#include "tests/bench/payload.h"
#include "tests/bench/report.h"

namespace bridge::bench {
namespace {

constexpr char kMethod[] = "/bridge.v1.Publisher/Publish";
constexpr absl::Duration kDoneTimeout = absl::Seconds(30);

using Stub = grpc::TemplatedGenericStub<v1::PublishRequest, grpc::ByteBuffer>;
using Reactor = grpc::ClientBidiReactor<v1::PublishRequest, grpc::ByteBuffer>;

// One Publish stream. gRPC's threads and the caller of Run share it. The responses are read as bytes, so that an echo
// server, which answers with other messages than the bridge, can be measured by the same client.
class GrpcPublisher final : public Reactor {
 public:
  GrpcPublisher(const PublishOptions& options, GrpcReply reply)
      : options_(options), reply_(reply), plan_(options), payload_(MakePayload(options.payload_bytes)) {}

  PublishResult Run(Stub& stub) {
    {
      const absl::MutexLock lock(&mutex_);
      plan_.Start();
    }
    if (!options_.token.empty()) context_.AddMetadata("authorization", absl::StrCat("Bearer ", options_.token));
    stub.PrepareBidiStreamingCall(&context_, kMethod, {}, this);
    StartRead(&response_);
    // Writes are started from this thread too, and more of them than reactions wait for: the hold says so.
    AddHold();
    StartCall();
    do {
      Pump();
    } while (!AwaitAnswers());
    if (!HasEnded()) StartWritesDone();
    RemoveHold();
    const absl::MutexLock lock(&mutex_);
    if (!mutex_.AwaitWithTimeout(absl::Condition(&is_done_), kDoneTimeout)) Fail("the Publish stream does not end");
    return std::move(result_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) {  // OnDone says why
      const absl::MutexLock lock(&mutex_);
      is_ended_ = true;
      return;
    }
    TakeResponse();
    StartRead(&response_);
    Pump();
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return;
    {
      const absl::MutexLock lock(&mutex_);
      is_writing_ = false;
    }
    Pump();
  }

  void OnDone(const grpc::Status& status) override {
    const absl::MutexLock lock(&mutex_);
    if (!status.ok()) Fail(absl::StrCat("the Publish stream ended: ", status.error_message()));
    is_done_ = true;
  }

 private:
  bool HasEnded() {
    const absl::MutexLock lock(&mutex_);
    return is_ended_;
  }

  bool IsAnswered() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return is_ended_ || (plan_.is_over() && sent_ns_.empty());
  }

  // Waits for the last ack, but not beyond the time when the next write may be due.
  bool AwaitAnswers() {
    const absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(this, &GrpcPublisher::IsAnswered),
                                   absl::Nanoseconds(plan_.WaitNs()));
  }

  // Starts the next write if there is something to write and nothing being written.
  void Pump() {
    {
      const absl::MutexLock lock(&mutex_);
      if (is_writing_ || sent_ns_.size() >= options_.window || !plan_.MayPublish()) return;
      is_writing_ = true;
      FillRequest();
    }
    StartWrite(&request_);
  }

  void FillRequest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto batch = static_cast<int>(plan_.NextBatch());
    while (request_.events_size() < batch) request_.add_events();
    while (request_.events_size() > batch) request_.mutable_events()->RemoveLast();
    for (v1::Event& event : *request_.mutable_events()) {
      event.set_topic(plan_.topic(plan_.TakeEvent(payload_)));
      event.set_text(payload_);
    }
    request_.set_request_id(absl::StrCat(++requests_));
    sent_ns_.push_back(NowNs());
  }

  void TakeResponse() {
    const absl::MutexLock lock(&mutex_);
    if (reply_ == GrpcReply::kEcho) {
      response_.Clear();
      return TakeAck();
    }
    v1::PublishResponse response;
    if (!grpc::SerializationTraits<v1::PublishResponse>::Deserialize(&response_, &response).ok()) {
      Fail("a response does not parse as bridge.v1.PublishResponse");
    }
    for (v1::Ack& ack : *response.mutable_acks()) {
      if (ack.request_id() != absl::StrCat(answered_ + 1)) {
        Fail(absl::StrCat("ack of request ", ack.request_id(), " came where ", answered_ + 1, " was to come"));
      }
      result_.rejected += static_cast<uint64_t>(ack.rejected_size());
      result_.last_id = std::move(*ack.mutable_last_id());
      TakeAck();
    }
  }

  void TakeAck() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (sent_ns_.empty()) Fail("more acks than requests");
    result_.ack_latency.Record(NowNs() - sent_ns_.front());
    sent_ns_.pop_front();
    ++answered_;
    result_.events = plan_.taken();
    result_.seconds = plan_.ElapsedSeconds();
  }

  const PublishOptions options_;
  const GrpcReply reply_;
  grpc::ClientContext context_;

  // The first is owned by the write that is under way, the second by the read.
  v1::PublishRequest request_;
  grpc::ByteBuffer response_;

  absl::Mutex mutex_;
  PublishPlan plan_ ABSL_GUARDED_BY(mutex_);
  std::string payload_ ABSL_GUARDED_BY(mutex_);
  std::deque<int64_t> sent_ns_ ABSL_GUARDED_BY(mutex_);  // of the requests without an ack
  uint64_t requests_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t answered_ ABSL_GUARDED_BY(mutex_) = 0;
  bool is_writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_ended_ ABSL_GUARDED_BY(mutex_) = false;  // nothing more can be read
  bool is_done_ ABSL_GUARDED_BY(mutex_) = false;
  PublishResult result_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

PublishResult PublishByGrpc(const PublishOptions& options, GrpcReply reply) {
  const auto channel = grpc::CreateChannel(options.target, grpc::InsecureChannelCredentials());
  Stub stub(channel);
  GrpcPublisher publisher(options, reply);
  return publisher.Run(stub);
}

}  // namespace bridge::bench
