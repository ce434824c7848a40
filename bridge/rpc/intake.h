#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <grpcpp/support/byte_buffer.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "bridge/calls/worker_stream.h"
#include "bridge/log/event_log.h"
#include "bridge/log/record.h"
#include "bridge/payload/transcoder.h"
#include "bridge/rpc/call_intake.h"
#include "bridge/rpc/event_content.h"
#include "bridge/rpc/publisher_identity.h"
#include "bridge/v1/publisher.pb.h"

namespace bridge::rpc {

// Turns a request's bytes into records for the log and what it says of calls, and the log's answer into the request's
// ack.
//
// Thread-safe: it has no state.
class Intake {
 public:
  struct Limits {
    size_t events_per_request_max = 1000;
    ContentReader::Limits content;
  };

  // A request that has been taken apart.
  struct Batch {
    // With the request_id and the rejections so far.
    v1::Ack ack;
    // What is to be appended, and for each record the index of its event.
    std::vector<log::Record> records;
    std::vector<uint32_t> indexes;
    std::optional<CallIntake::Serving> serving;
    std::vector<calls::CallUpdate> updates;
    // Of updates that are for no call.
    std::vector<calls::CallAck> call_acks;

    // Of records and updates, an update without events counting as one.
    size_t events() const;
    // What they take beside the request's bytes, roughly.
    size_t overhead_bytes() const;
  };

  Intake(const Limits& limits, const payload::Transcoder* transcoder)
      : limits_(limits), content_(limits.content, transcoder), calls_(&content_) {}
  Intake(const Intake&) = delete;
  Intake& operator=(const Intake&) = delete;

  // `calls` is what becomes of a request with serve or call_updates, where that is an error.
  //
  // INVALID_ARGUMENT where the bytes are not a PublishRequest, its request_id is too long, it has over 100,000 events
  // or its serve is no good. UNAUTHENTICATED where it has an event, or a name in serve, for which the publisher would
  // have to show who it is. A bad event, and one that the publisher may not publish, is a rejection in the batch.
  absl::StatusOr<Batch> Take(const grpc::ByteBuffer& bytes, const PublisherIdentity& publisher,
                             const absl::Status& calls) const;

  // Completes the ack by what the log said of the records that had these indexes.
  // Where `appended` is an error, all of them are rejected with it.
  static v1::Ack Complete(v1::Ack ack, const std::vector<uint32_t>& indexes,
                          const absl::StatusOr<std::vector<log::Appended>>& appended);

 private:
  absl::Status CheckOutline(const RequestOutline& outline, const absl::Status& calls) const;
  // A request with more events than one may have.
  Batch RejectAll(const grpc::ByteBuffer& bytes, const RequestOutline& outline) const;
  absl::Status TakeEvents(v1::PublishRequest& request, const PublisherIdentity& publisher, uint64_t* work,
                          Batch* batch) const;
  absl::Status TakeCalls(v1::PublishRequest& request, const PublisherIdentity& publisher, uint64_t* work,
                         Batch* batch) const;
  // Raises `work` by what its payload took.
  absl::StatusOr<log::Record> RecordOf(v1::Event&& event, const PublisherIdentity& publisher, uint64_t* work) const;

  const Limits limits_;
  const ContentReader content_;
  const CallIntake calls_;
};

}  // namespace bridge::rpc
