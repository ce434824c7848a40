#include "tests/bench/once_publisher.h"

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include <absl/strings/str_cat.h>
#include <bridge/v1/publisher.grpc.pb.h>
#include <grpcpp/grpcpp.h>

#include "tests/bench/clock.h"
#include "tests/bench/payload.h"
#include "tests/bench/report.h"

namespace bridge::bench {

PublishResult PublishOnceByGrpc(const PublishOptions& options) {
  const auto stub = v1::Publisher::NewStub(grpc::CreateChannel(options.target, grpc::InsecureChannelCredentials()));
  PublishPlan plan(options);
  std::string payload = MakePayload(options.payload_bytes);
  PublishResult result;
  plan.Start();
  while (!plan.is_over()) {
    if (!plan.MayPublish()) {
      std::this_thread::sleep_for(std::chrono::nanoseconds(plan.WaitNs()));
      continue;
    }
    v1::PublishRequest request;
    for (uint64_t left = plan.NextBatch(); left > 0; --left) {
      v1::Event& event = *request.add_events();
      event.set_topic(plan.topic(plan.TakeEvent(payload)));
      event.set_text(payload);
    }
    grpc::ClientContext context;
    v1::Ack ack;
    const int64_t sent_ns = NowNs();
    if (const grpc::Status status = stub->PublishOnce(&context, request, &ack); !status.ok()) {
      Fail(absl::StrCat("PublishOnce: ", status.error_message()));
    }
    result.ack_latency.Record(NowNs() - sent_ns);
    result.rejected += static_cast<uint64_t>(ack.rejected_size());
    result.last_id = ack.last_id();
  }
  result.events = plan.taken();
  result.seconds = plan.ElapsedSeconds();
  return result;
}

}  // namespace bridge::bench
