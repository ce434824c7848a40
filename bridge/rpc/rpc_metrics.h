#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "bridge/base/metric.h"
#include "bridge/log/event_log.h"
#include "bridge/v1/publisher.pb.h"

namespace bridge::rpc {

// What the publishing side counts. Thread-safe.
struct RpcMetrics {
  static constexpr size_t kCodes = 17;  // of google.rpc.Code

  // Why a stream or call was refused, or ended, for want of a good token.
  enum Refusal : uint8_t { kUnauthenticated, kKeyNotThere, kExpired };
  static constexpr size_t kRefusals = 3;

  base::SharedMetric streams;
  base::SharedMetric streams_opened;
  // Streams and calls that took no response for grpc.send_timeout.
  base::SharedMetric streams_timed_out;
  base::SharedMetric requests;
  base::SharedMetric accepted;
  base::SharedMetric duplicates;
  base::SharedMetric ephemeral;
  std::array<base::SharedMetric, kCodes> rejected;
  std::array<base::SharedMetric, kRefusals> refused;
  base::SharedMetric request_bytes;
  base::SharedMetric ack_bytes;

  // Counts what a stream or call came to where it was to be let in, or its request to be taken: UNAUTHENTICATED, and
  // UNAVAILABLE for a key that may still come, are refusals.
  void NoteRefusal(const absl::Status& status);
};

// Counts what became of the events of one request: `ack` has its rejections, `appended` what the log said of the events
// at `indexes`.
void NoteAppended(const v1::Ack& ack, const std::vector<uint32_t>& indexes,
                  const absl::StatusOr<std::vector<log::Appended>>& appended, RpcMetrics* metrics);

}  // namespace bridge::rpc
