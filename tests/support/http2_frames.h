#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace bridge::test {

// HTTP/2 as bytes (RFC 9113), also wrong ones, for clients of which a test decides each.
enum class FrameType : uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kReset = 3,
  kSettings = 4,
  kPushPromise = 5,
  kPing = 6,
  kGoaway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};

constexpr uint8_t kEndStream = 0x1;
constexpr uint8_t kEndHeaders = 0x4;

// A client's first bytes, with SETTINGS that leave all as it is.
std::string Http2Preface();

// One frame; `stream` is its stream's number, odd for those of a client.
std::string Http2Frame(FrameType type, uint8_t flags, uint32_t stream, absl::string_view payload);

using Http2Headers = std::vector<std::pair<std::string, std::string>>;

// A block of headers without compression (RFC 7541 §6.2.2).
std::string HeaderBlock(const Http2Headers& headers);

// The headers of a call of "/package.Service/Method".
Http2Headers CallTo(absl::string_view path);

// The HEADERS of a call of bridge.v1.Publisher, with more of them behind the usual ones.
std::string CallHeaders(uint32_t stream, absl::string_view method, const Http2Headers& more = {});

// A message in gRPC's framing. `announced` is the size that it is said to have.
std::string GrpcMessage(absl::string_view bytes, uint32_t announced);

}  // namespace bridge::test
