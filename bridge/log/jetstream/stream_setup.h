#pragma once

#include <cstddef>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "bridge/log/jetstream/api.h"
#include "bridge/log/jetstream/nats_connection.h"
#include "bridge/log/jetstream/options.h"

namespace bridge::log::jetstream {

// The stream as the options want it.
StreamConfig WantedStream(const JetStreamOptions& options);

// OK where a stream can be used; FAILED_PRECONDITION says what is, what would be right and how to mend it.
absl::Status CheckStream(const StreamInfo& is, const JetStreamOptions& options);

// OK where the largest record fits into a message of this server and stream, else FAILED_PRECONDITION.
absl::Status CheckMessageBytes(size_t max_payload, const StreamInfo& is, const JetStreamOptions& options);

// Finds the stream, or makes it, and sets its limits where the options say so. FAILED_PRECONDITION: only an operator
// can mend it. Blocks for some seconds at most.
absl::StatusOr<StreamInfo> FindOrMakeStream(NatsConnection& connection, const JetStreamOptions& options);

}  // namespace bridge::log::jetstream
