#include "tests/bench/store_record.h"

#include <absl/time/clock.h>

#include "tests/bench/payload.h"

#include "bridge/log/record.h"
#include "bridge/log/record_codec.h"

namespace bridge::bench {

std::string MakeStoreRecord(const std::string& topic, size_t payload_bytes) {
  log::Record record;
  record.topic = topic;
  record.data = MakePayload(payload_bytes);
  record.time = absl::Now();
  return log::EncodeRecord(record);
}

}  // namespace bridge::bench
