#pragma once

#include <cstddef>

#include "tests/bench/publish_plan.h"

namespace bridge::bench {

// Publishes by POST over `connections` kept-alive HTTP/1.1 connections, one request at a time on each; a topic always
// goes over the same one. The topic takes the place of "{topic}" in `path`. Ends the program where a request fails.
PublishResult PublishByHttp(const PublishOptions& options, const std::string& path, size_t connections);

}  // namespace bridge::bench
