// Any bytes are refused, or are a head whose rebuilt form is accepted again and means the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/string_view.h"

#include "bridge/http/rebuilt_head.h"
#include "bridge/http/request_head.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using bridge::http::ParseRequestHead;
  using bridge::http::RequestHead;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  RequestHead head;
  if (ParseRequestHead(bytes, &head)) {
    return 0;
  }
  constexpr size_t kBodySize = 7;
  const std::string rebuilt = bridge::http::RebuildHead(head, kBodySize);
  RequestHead again;
  if (ParseRequestHead(rebuilt, &again)) {
    std::abort();
  }
  const bool has_body = head.has_body() && head.method != "GET" && head.method != "HEAD" && head.method != "OPTIONS";
  // The host of a target in absolute-form is not written, nor Connection: nobody reads them there.
  const bool has_host = bytes.substr(0, bytes.find('\r')).find("://") == std::string::npos;
  if (again.method != head.method || (has_host && again.host != head.host) ||
      again.minor_version != head.minor_version || again.is_chunked || again.expects_continue ||
      !again.Find("Range").empty() || again.content_length.has_value() != has_body) {
    std::abort();
  }
  return 0;
}
