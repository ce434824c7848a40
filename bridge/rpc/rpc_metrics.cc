#include "bridge/rpc/rpc_metrics.h"

#include <algorithm>

namespace bridge::rpc {

void RpcMetrics::NoteRefusal(const absl::Status& status) {
  if (absl::IsUnauthenticated(status)) {
    refused[kUnauthenticated].Add(1);
  } else if (absl::IsUnavailable(status)) {
    refused[kKeyNotThere].Add(1);
  }
}

void NoteAppended(const v1::Ack& ack, const std::vector<uint32_t>& indexes,
                  const absl::StatusOr<std::vector<log::Appended>>& appended, RpcMetrics* metrics) {
  for (const v1::Rejection& rejection : ack.rejected()) {
    const auto code = static_cast<size_t>(rejection.code());
    metrics->rejected[std::min(code, RpcMetrics::kCodes - 1)].Add(1);
  }
  if (!appended.ok()) {
    return;
  }
  uint64_t accepted = 0;
  uint64_t duplicates = 0;
  uint64_t ephemeral = 0;
  for (size_t i = 0; i < indexes.size(); ++i) {
    const log::Appended& one = (*appended)[i];
    if (one.status.ok()) {
      duplicates += one.is_duplicate ? 1 : 0;
      ephemeral += one.position.sequence == 0 ? 1 : 0;
      accepted += one.is_duplicate ? 0 : 1;
    }
  }
  metrics->accepted.Add(accepted);
  metrics->duplicates.Add(duplicates);
  metrics->ephemeral.Add(ephemeral);
}

}  // namespace bridge::rpc
