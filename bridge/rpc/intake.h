#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <grpcpp/support/byte_buffer.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "bridge/log/event_log.h"
#include "bridge/log/record.h"
#include "bridge/payload/transcoder.h"
#include "bridge/rpc/publisher_identity.h"
#include "bridge/v1/publisher.pb.h"

namespace bridge::rpc {

// Turns a request's bytes into records for the log, and the log's answer into the request's ack.
//
// Thread-safe: it has no state.
class Intake {
 public:
  struct Limits {
    size_t events_per_request_max = 1000;
    // In the units of payload::JsonEstimate. The event with which it is reached is still taken, the rest of the request
    // is rejected.
    uint64_t work_per_request_max = uint64_t{12} << 20;
    size_t frame_bytes_max = size_t{512} << 10;
    absl::Duration retry_min = absl::Milliseconds(100);
    absl::Duration retry_max = absl::Hours(1);
  };

  // A request that has been taken apart.
  struct Batch {
    // With the request_id and the rejections so far.
    v1::Ack ack;
    // What is to be appended, and for each record the index of its event.
    std::vector<log::Record> records;
    std::vector<uint32_t> indexes;
  };

  Intake(const Limits& limits, const payload::Transcoder* transcoder) : limits_(limits), transcoder_(transcoder) {}

  // INVALID_ARGUMENT where the bytes are not a PublishRequest, its request_id is too long or it has over 100,000
  // events. UNAUTHENTICATED where it has an event for which the publisher would have to show who it is. A bad event,
  // and one that the publisher may not publish, is a rejection in the batch.
  absl::StatusOr<Batch> Take(const grpc::ByteBuffer& bytes, const PublisherIdentity& publisher) const;

  // Completes the ack by what the log said of the records that had these indexes.
  // Where `appended` is an error, all of them are rejected with it.
  static v1::Ack Complete(v1::Ack ack, const std::vector<uint32_t>& indexes,
                          const absl::StatusOr<std::vector<log::Appended>>& appended);

 private:
  // Raises `work` by what its payload took.
  absl::StatusOr<log::Record> RecordOf(v1::Event&& event, const PublisherIdentity& publisher, uint64_t* work) const;

  const Limits limits_;
  const payload::Transcoder* const transcoder_;
};

}  // namespace bridge::rpc
