#pragma once

#include <string>

#include "bridge/http/request_head.h"

namespace bridge::http {

// The head as it is handed to the HTTP library: without the headers that the bridge has dealt with (framing, Expect,
// Connection, Range), that would have the library compress on an event loop, or that a client could use to forge what
// the library adds. It has no more headers than the client's. The library decodes percent-encoding in values, which
// HTTP does not: what it gets decodes to what the client has sent.
std::string RebuildHead(const RequestHead& head);

}  // namespace bridge::http
