// Whatever bytes a store gives back, they are refused with one line of error or are a record that could have been
// published, which comes back from being stored again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include <google/protobuf/stubs/logging.h>

#include "absl/strings/string_view.h"

#include "bridge/log/record_codec.h"
#include "bridge/topic/event_type.h"
#include "bridge/topic/topic.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using bridge::log::DecodeRecord;
  using bridge::log::Record;
  google::protobuf::SetLogHandler(nullptr);
  const absl::StatusOr<Record> record = DecodeRecord({reinterpret_cast<const char*>(data), size});
  if (!record.ok()) {
    if (record.status().message().empty()) {
      std::abort();
    }
    return 0;
  }
  const absl::StatusOr<Record> again = DecodeRecord(EncodeRecord(*record));
  const bool ends_call = !record->call.empty() && record->type == bridge::log::kCallEndType;
  if (!bridge::topic::ValidateTopic(record->topic).ok() ||
      (!ends_call && !bridge::topic::CheckEventType(record->type).ok()) || !again.ok() ||
      again->topic != record->topic || again->type != record->type || again->data != record->data ||
      again->retry != record->retry || again->time != record->time || again->publisher != record->publisher ||
      again->idempotency_key != record->idempotency_key || again->call != record->call) {
    std::abort();
  }
  return 0;
}
