#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <grpcpp/support/byte_buffer.h>

#include "absl/status/statusor.h"

namespace bridge::rpc {

// What a PublishRequest comes to, found without parsing its parts: a few bytes of each would become a hundred in
// memory.
struct RequestOutline {
  std::string request_id;
  size_t events = 0;
  bool has_serve = false;
  size_t serve_names = 0;
  size_t serve_held = 0;
  size_t updates = 0;
  // Those of all updates, one without any counting as one.
  size_t update_events = 0;
};

// INVALID_ARGUMENT where the bytes are no message. Those of a PublishRequest that does not parse may have an outline.
absl::StatusOr<RequestOutline> OutlineOf(const grpc::ByteBuffer& bytes);

// Which call a CallUpdate is for.
struct UpdateHead {
  // Empty where it is longer than `call_id_bytes_max`.
  std::string call_id;
  uint32_t attempt = 0;
  uint64_t first_index = 0;
};

// Those of a request that has an outline, in order.
std::vector<UpdateHead> UpdateHeadsOf(const grpc::ByteBuffer& bytes, size_t call_id_bytes_max);

}  // namespace bridge::rpc
