#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace bridge::hub {

// Why records may be missing.
enum class GapReason { kEpoch, kTrimmed, kSlow, kAhead, kMalformed, kReplayLimit };
inline constexpr size_t kGapReasons = 6;
absl::string_view NameOf(GapReason reason);

// The bridge's own events, encoded as SSE text. Their types start with "bridge.", which no publisher can use. Where
// `id` is given it is a cursor: a client that is cut right after the event resumes exactly.

// `retry` is the reconnection time for this client, in the same block.
std::string EncodeOpen(absl::string_view id, absl::Duration retry, absl::Duration heartbeat);
// The same with other data, JSON.
std::string EncodeOpen(absl::string_view id, absl::Duration retry, absl::string_view data);
// `requested` is what the client asked for, possibly hostile; its first 64 bytes are told.
std::string EncodeGap(absl::string_view id, absl::string_view requested, absl::string_view oldest, GapReason reason);
// The stream's token ends in about so many seconds, and the stream with it.
std::string EncodeExpiring(absl::string_view id, uint32_t seconds);
std::string EncodeHeartbeat(absl::string_view id);
// `id` may be empty (a refusal): then the client keeps what it had.
std::string EncodeClosing(absl::string_view id, absl::string_view reason, absl::Duration retry);

}  // namespace bridge::hub
