// Any bytes are refused, or are a head whose rebuilt form is accepted again and means the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
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
  std::string rebuilt = bridge::http::RebuildHead(head);
  // As the library decodes it.
  const size_t headers = rebuilt.find("\r\n");
  rebuilt = absl::StrCat(rebuilt.substr(0, headers), absl::StrReplaceAll(rebuilt.substr(headers), {{"%25", "%"}}));
  RequestHead again;
  if (ParseRequestHead(rebuilt, &again)) {
    std::abort();
  }
  // The host of a target in absolute-form is not written, nor Connection: nobody reads them there.
  const bool has_host = bytes.substr(0, bytes.find('\r')).find("://") == std::string::npos;
  if (again.method != head.method || (has_host && again.host != head.host) ||
      again.minor_version != head.minor_version || again.is_chunked || again.expects_continue ||
      !again.Find("Range").empty() || again.has_body() || again.Find("Cookie") != head.Find("Cookie")) {
    std::abort();
  }
  return 0;
}
