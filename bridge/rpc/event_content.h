#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "bridge/payload/transcoder.h"
#include "bridge/v1/publisher.pb.h"

namespace bridge::rpc {

// What browsers get of an event, wherever it goes.
struct EventContent {
  std::string type;
  std::string data;
  absl::Duration retry;
};

// Takes the content out of events. Thread-safe: it has no state.
class ContentReader {
 public:
  struct Limits {
    // In the units of payload::JsonEstimate. The event with which it is reached is still taken, the rest of the request
    // is rejected.
    uint64_t work_per_request_max = uint64_t{12} << 20;
    size_t frame_bytes_max = size_t{512} << 10;
    absl::Duration retry_min = absl::Milliseconds(100);
    absl::Duration retry_max = absl::Hours(1);
  };

  // `transcoder` outlives it.
  ContentReader(const Limits& limits, const payload::Transcoder* transcoder)
      : limits_(limits), transcoder_(transcoder) {}

  // INVALID_ARGUMENT says what is wrong with the event. Raises `work` by what its payload took.
  absl::StatusOr<EventContent> Read(v1::Event&& event, uint64_t* work) const;
  // A JSON object of at most `bytes_max` bytes, likewise; the error goes on from its name.
  absl::StatusOr<std::string> ReadObject(google::protobuf::Struct&& object, size_t bytes_max, uint64_t* work) const;

  // RESOURCE_EXHAUSTED: what was read before was as much work as one request may be.
  absl::Status CheckWork(uint64_t work) const;

 private:
  const Limits limits_;
  const payload::Transcoder* const transcoder_;
};

}  // namespace bridge::rpc
