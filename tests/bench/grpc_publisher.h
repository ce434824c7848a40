#pragma once

#include "tests/bench/publish_plan.h"

namespace bridge::bench {

enum class GrpcReply {
  kAcks,  // PublishResponse messages, as the bridge sends them
  kEcho,  // each request comes back as it is
};

// Publishes on one bidirectional gRPC stream as `options` say and waits for all acks. Ends the program where the stream
// fails.
PublishResult PublishByGrpc(const PublishOptions& options, GrpcReply reply);

}  // namespace bridge::bench
