#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "bridge/calls/call_types.h"
#include "bridge/calls/worker_stream.h"
#include "bridge/log/record.h"
#include "bridge/log/v1/call.pb.h"

namespace bridge::calls {

// Calls as records of their log.

// 128 random bits as text; its length.
std::string RandomCallId();
inline constexpr size_t kCallIdBytes = 22;
bool IsCallId(absl::string_view text);

// Stands for texts: SHA-256 of them, each with its length before it.
std::string FingerprintOf(std::initializer_list<absl::string_view> texts);

// What makes two requests the same call, and what else has to be the same then. REQUIRES: it has an idempotency key.
std::string KeyFingerprintOf(const CallRequest& request);
std::string BodyFingerprintOf(const CallRequest& request);

log::Record OpenRecord(absl::string_view id, const CallRequest& request, const std::string& replica);
log::Record ClaimRecord(absl::string_view id, log::v1::CallClaim claim);
// `turn` is the call's.
log::Record ReleaseRecord(absl::string_view id, uint32_t attempt, uint32_t turn);
struct AnswerPlace {
  uint32_t attempt;
  uint64_t index;
};
log::Record AnswerRecord(absl::string_view id, AnswerPlace place, AnswerEvent event);
log::Record StopRecord(absl::string_view id, StopReason reason, absl::string_view message);

// How a call ends.
struct EndOf {
  EndStatus status;
  int32_t code = 0;
  std::string message = {};
  // A JSON object; empty for none.
  std::string usage = {};
};
// By its worker, behind its last event.
log::Record WorkersEndRecord(absl::string_view id, AnswerPlace place, const EndOf& end);
// By a replica; where it has a turn, only if nobody has claimed or released the call since then.
log::Record EndRecord(absl::string_view id, const EndOf& end, std::optional<uint32_t> turn = std::nullopt);
log::Record PresenceRecord(log::v1::ReplicaPresence presence);

// As an append of one record.
std::vector<log::Record> Alone(log::Record record);

// What a record of this log says. DATA_LOSS: nothing that a bridge has written.
absl::StatusOr<log::v1::CallRecord> ParseCallRecord(const log::Record& record);

}  // namespace bridge::calls
