#pragma once

#include <cstddef>
#include <string>

#include "bridge/http/request_head.h"

namespace bridge::http {

// The head as it is handed to the HTTP library: without the headers that the bridge has dealt with (framing, Expect,
// Connection, Range) or that a client could use to forge what the library adds, and with the length of the whole body,
// where there is one. It has no more headers than the client's.
std::string RebuildHead(const RequestHead& head, size_t body_size);

}  // namespace bridge::http
